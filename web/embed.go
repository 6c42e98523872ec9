// Package web is the dashboard: its built files, and the handler that serves them.
//
// The files are in the program when it is built with the tag ui, after npm ci and npm run build in this folder have made dist/. Without the tag
// a page says so, and everything else works: nobody needs Node to build or test the service.
//
// Handler sends the files with the headers that a browser needs to trust the page with a token: a policy under which scripts,
// styles and fonts come from this origin alone and requests go to this origin and to the S3 endpoint alone. The page has no inline script and
// keeps no state on the server.
package web

import "io/fs"

// FS holds the built files: index.html at its root, everything else under assets/ with the hash of its content in its name. Beside
// a file may be its compressed forms, NAME.br and NAME.gz.
func FS() fs.FS { return files() }
