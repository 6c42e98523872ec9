// Package glance is a client of the Images API v2 and of Bullion's upload extension, as one user in one project.
//
// Credentials come from where OpenStack people keep them: clouds.yaml with OS_CLOUD, or the OS_* variables. Gophercloud logs in, logs in again
// when the token ends, and finds the endpoint in the catalogue. Requests to the API carry the token and are never redirected; requests to presigned URLs
// go through [Client.Data], which knows no token, so none can reach another host.
//
// Every error is one of [Error] (the service answered, and what it said), [Unreachable] (it did not), or of the context.
package glance
