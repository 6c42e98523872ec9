package diskimage

import "math/bits"

// maxISODescriptors bounds the volume descriptors that are read. Real images have two to five.
const maxISODescriptors = 32

// openISO checks an ISO 9660 image. An MBR or GPT in its first 32 KiB is legitimate: the image starts from a USB stick as well.
// A volume smaller than the file is normal; tools append to it.
func openISO(f span, g *signs) (*volume, error) {
	v := &volume{format: "iso", size: f.size, disk: &f, signs: g}
	for sector := int64(16); sector < 16+maxISODescriptors; sector++ {
		d, err := f.read(sector*2048, 2048)
		if err != nil {
			return nil, err
		}
		if string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		if d[0] != 1 {
			continue
		}
		blocks, block := le.Uint32(d[80:]), le.Uint16(d[128:])
		if block < 512 || bits.OnesCount16(block) != 1 {
			return nil, reject(CodeMalformed, "Make the ISO image again, for example with xorriso.", "The ISO image has blocks of %d bytes; 512, 1,024 or 2,048 are usual.", block)
		}
		v.size = int64(blocks) * int64(block)
		if v.size > f.size {
			return nil, reject(CodeTruncated, hintWhole, "The ISO volume has %d bytes, but the file has only %d.", v.size, f.size)
		}
		if v.size == 0 {
			return nil, reject(CodeMalformed, "Make the ISO image again, for example with xorriso.", "The ISO volume has no blocks.")
		}
		return v, nil
	}
	return nil, reject(CodeMalformed, "Make the ISO image again, for example with xorriso.", "The ISO image has no primary volume descriptor.")
}

// openUDF takes a UDF image without ISO 9660 descriptors as it is.
func openUDF(f span, g *signs) *volume {
	return &volume{format: "iso", size: f.size, disk: &f, signs: g, warnings: []Warning{{CodeNotInspected, "The image is UDF without ISO 9660; its file system was not checked.", ""}}}
}
