// Package s3engine is the S3 server of a host that is one machine: versitygw in the same process, with a
// backend of our own in front of its posix backend.
//
// What clients see is S3: presigned URLs, multipart uploads, conditional writes, ranged reads, CORS. What is
// different inside is how bytes arrive, because that is what an image vault does all day:
//
//   - A single PUT is hashed (MD5, SHA-512, CRC-64) while it is written, once.
//   - A part of a multipart upload is written where it belongs in the finished object, and a chaser hashes the
//     finished prefix from the page cache meanwhile. Complete checks, writes attributes and renames; it does not copy.
//   - Digests hands both hashes to the host, so that nobody has to read the object again.
//
// # On disk
//
//	Dir/lock                      flock: one process for each directory
//	Dir/objects/<bucket>/<key>    one file for each object, attributes in xattrs (user.*); posix's own layout
//	Dir/uploads/<id>/upload.json  what CreateMultipartUpload said
//	Dir/uploads/<id>/parts.log    one JSON line for each part that arrived whole; the last line of a number wins
//	Dir/uploads/<id>/data         part n at (n-1) × part size; becomes the object
//	Dir/uploads/<id>/side-*       parts that have no slot in data, or that replace one that has arrived
//
// The part size comes from the metadata x-amz-meta-bullion-part-size of CreateMultipartUpload. Without it, or with
// parts that do not fit it, every part waits in a side file and Complete copies them together, as S3 servers
// usually do: correct, but slower.
//
// # Durability
//
// Every answer of success survives kill -9 at any moment: bytes are in the page cache before the journal or
// the name says that they exist, and names appear by link and rename. A part whose line is not in the journal does
// not exist; a part that is sent again never touches the one that arrived.
//
// Power loss is another matter. Without Config.Sync nothing waits for the disk, as with Glance's file store and
// with versitygw itself: what was acknowledged in the last half minute may be lost or hold zeros. Parts are checked
// against their CRC-64 when an upload is opened again after a reboot, and whole objects against theirs while they are
// hashed, so such damage is found before an image becomes active rather than after. With Config.Sync, data,
// journal and directories are flushed before a success is answered; an upload is then as fast as the disk.
//
// # What was met in versitygw v1.8.0, and what is done about it
//
//	G1  attributes of one file must fit 4 KiB on ext4; the list of parts does not at 1,000 parts: it is left out (attributes)
//	G2  kill -9 in Complete loses the upload: our Complete is one rename; posix's leftovers are swept at start
//	G3  a second Complete answers before the object exists: completions of one upload wait for each other
//	G4  posix.New changes the working directory of the process for ever, and cannot be told not to: every path here
//	    is absolute, and the host must make its own paths absolute before Start and never change directory
//	G5  strings from a request live in its buffer: all that is kept is cloned
//	G6  CopyObjectThreshold must be set, or every copy is refused
//	G7  output: Quiet, a single-account IAM service, and errors turned into S3 errors after they were logged here
//	G8  shutdown waits 10 s for connections that nobody uses: hangUp ends their reading side
//	G9  one server for each process: Start says so
//	G10 port 0 cannot be read back: refused with a sentence
//	G11 files are 0600 and directories 0700
//	G12 the admin API shares the port: its method (PATCH, which S3 does not have) is refused before it is routed
//	G13 nothing expires by itself: Config.AbandonAfter aborts old uploads; temporary files are unnamed (O_TMPFILE) or swept
//	G14 an early refusal of a large body is a reset for some clients: bodies are read to their end when the disk is
//	    full or the server busy for long, so that the client learns why; for a bad signature versitygw reads at most 256 KiB, and the client asks for
//	    a new URL after a connection error
//
// Further: a body that ends early is accepted by posix when the client sent no checksum; here the length must be right.
// Keys that would name the same file as another key (a//b, ./a) or versitygw's own directory are refused.
package s3engine
