// Package transfer moves the bytes of images: files to presigned URLs in parallel parts, and images to files in parallel ranges.
//
// Upload. A [Source] pins a file; a [Sender] sends the parts that S3 lacks. What S3 has is the truth: a Sender keeps no state of its own, so
// it goes on with any upload that is open, whoever began it. Whether to send a part again is decided by one pure function, judge; which part is
// next, and which signatures are needed, by plan. Bytes are never held in memory: each attempt opens the file once more, and on plain HTTP the kernel copies from
// the page cache to the socket (sendfile); that is why a section is read in no other way, and why progress is read off its position in the file.
//
// Download. Ranges are fetched in parallel and written in order, so a part file is always a prefix of the image: it is resumed by hashing
// what is there. A [Target] becomes the file only when the hash is right.
//
// Failures. Nothing is lost when something ends early: an interrupted or failed upload stays open and says so with its error; only a file that changed under
// way makes the Sender abort the upload, because its parts no longer belong together.
package transfer
