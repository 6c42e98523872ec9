// Package wiretest runs OpenStack's own clients, unmodified, against package identity.
//
// The clients come from the Python package index (see venvtest); BULLION_CLIENTS_VENV may name a virtual environment that has them.
package wiretest
