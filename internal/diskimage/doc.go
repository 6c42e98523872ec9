// Package diskimage says what a file of bytes is before anything trusts it: which disk format it has, whether that is what its
// owner declared, how large the disk inside is, whether it refers to anything outside itself, whether it is whole, and
// whether a machine could boot it.
//
// [Inspect] reads an image through an [io.ReaderAt], so a ranged GET is enough: a few pages of a file of any size. It answers with
// a [Report], or with a [*Rejection] when the image is at fault. Every other error is of the reader, and trying again may help.
//
// What a reader of this code must know:
//
//   - Every byte is hostile. A header is checked, field by field, before a number in it is used as an offset, a count or a size.
//     Nothing allocates by a number from the file that was not compared with a limit first; loops over chains have a cap.
//   - Nothing opens a file, runs a program or follows a name that an image contains. A name of another file is a reason to refuse.
//   - A panic is a mistake here, but it ends as a rejection with the code [CodeUnreadable], never as the end of the process. Running out of
//     memory cannot be caught in Go, which is why the limits come first.
//   - A read budget ([Budget]) holds for the whole inspection. An image that needs more is refused with [CodeBudget].
//
// The rules are stricter than those of OpenStack Glance, which lets an image with cut-off clusters, an encrypted payload or a VMDK
// parent become active. [Lenient] gives Glance's behaviour back, except for images that reach outside themselves.
//
// The layouts come from the QEMU documentation (docs/interop/qcow2.txt, parallels.txt), VMware's "Virtual Disk Format 5.0", Microsoft's
// "Virtual Hard Disk Image Format Specification" and [MS-VHDX], the UEFI specification (GPT), ECMA-119 and El Torito (ISO), Microsoft's FAT
// specification, and the ext4 and XFS on-disk documentation of the Linux kernel.
//
// The package uses the standard library and one zstd decoder, and compiles to WebAssembly for the browser (cmd/preflight-wasm).
package diskimage
