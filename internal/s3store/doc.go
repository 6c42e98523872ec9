// Package s3store keeps the bytes of images in one bucket of an S3 endpoint: AWS, or the engine that is embedded in the single program. It is
// the one implementation of images.Blobs; package blobtest is its contract as a test.
//
// # Objects
//
//	images/{image id}/{upload id}   the bytes of one upload, written once and never changed
//
// An object that the service writes itself (Put) carries the metadata bullion-put, a random value by which Put knows its own object again
// when an answer was lost. A multipart upload carries bullion-part-size: the bytes of every part but the last, or, of a stream that did not say how
// long it is, of its first 2,000 parts. The embedded engine writes parts of that size where they belong and has nothing to copy at the end;
// S3 ignores it.
//
// # Nothing is replaced
//
// Every write says If-None-Match: *, also the presigned PUT (the header is signed, so it cannot be left out) and the completion of a multipart
// upload. In a bucket without versions that is what makes an object immutable: a key is random, made for one upload, and
// written at most once, and a signed URL that is used again finds the key taken. With versions the pin is exact: Range and PresignGet name
// the version that was validated. Range names the ETag as well; a presigned GET cannot, since a client that
// follows a redirect would have to send it. A key can be written again after Delete, as long as a URL that was signed before lives; it is
// never read again, because the record of a deleted image or upload does not come back.
//
// To have AWS refuse writes that lack the condition, whoever makes them, deny s3:PutObject where s3:if-none-match is null and
// s3:ObjectCreationOperation is true; the latter leaves out the parts of a multipart upload, which cannot carry it.
//
// # Rights
//
// IAM actions by method. Object actions are on arn:aws:s3:::{bucket}/images/*, those marked with * on arn:aws:s3:::{bucket}.
//
//	PresignPut, CreateMultipart, PresignPart   s3:PutObject
//	Parts                                      s3:ListMultipartUploadParts
//	CompleteMultipart                          s3:PutObject, and those of Head
//	AbortMultipart                             s3:AbortMultipartUpload, s3:ListMultipartUploadParts
//	Put                                        s3:PutObject, s3:DeleteObject, s3:DeleteObjectVersion, and those of Head and AbortMultipart
//	Head                                       s3:GetObject, s3:GetObjectVersion, s3:ListBucket* (without it an object that is not there is 403, not 404)
//	Range, PresignGet                          s3:GetObject, s3:GetObjectVersion
//	Delete                                     s3:DeleteObject, s3:DeleteObjectVersion, s3:ListBucketVersions*
//	List, Check                                s3:ListBucket*
//	ListMultipart                              s3:ListBucketMultipartUploads*
//
// A presigned request has the rights of whoever signed it, when it is used; and it ends with the session of a role at the latest.
//
// # Checksums
//
// Presigned requests carry none: who sends the bytes may not have read them yet. They are guarded by TLS, the exact length, and the
// SHA-512 that the service computes of what is stored. What Put sends carries a CRC32 that S3 checks; where the endpoint is plain HTTP on another
// machine it is signed as well.
package s3store
