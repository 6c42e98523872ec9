// Package identity is who people are: the part of Keystone's API v3 that OpenStack clients need, the
// tokens that it gives out, and the directory of users, projects and roles behind it.
//
// # Tokens
//
// A token is a compact JWS signed with Ed25519 (EdDSA) by go-jose, about 500 bytes long, good for one project or
// for none, and for an hour unless configured. Service is the only holder of the signing key. Everybody
// else has a Verifier, which needs the public keys and the list of revoked tokens, and makes no call to
// Service. Tokens that are derived from a token (another project, same person) end when the first one
// ends, and are revoked with it.
//
// Keys rotate with overlap (Keyring): a new key verifies everywhere before it signs, and an old one verifies until the last
// token that it signed has expired.
//
// # Directories
//
// FileDirectory is for one machine: one JSON file with mode 0600, written atomically, beside it
// the list of revoked tokens (.revoked) and a lock (.lock). The command line and the running server may
// use it at the same time. Package cognito is a directory in an Amazon Cognito user pool. A user's role in a project is one of Roles;
// an administrator of any project administers all of Bullion, as in OpenStack.
//
// Passwords are hashed with argon2id (12 MiB, 3 passes, 1 lane: see password.go), at most two at once in a process.
//
// # What an attacker learns
//
// Every refused sign-in has the same answer and costs the same time, whether the user exists or not.
// Failures are counted for each user at each address, and for each address: never for a user
// alone, so that nobody can lock out another (Limits). A member who looks up a project or a user
// gets 403 whether it exists or not, except for their own. Sign-ins, refusals and revocations go to the
// log with audit=true; passwords, tokens and names of users that do not exist never do.
//
// This package builds on Unix.
package identity
