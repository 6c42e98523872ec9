package diskimage

import "bytes"

// discBoot is one entry of the boot catalogue of a disc.
type discBoot struct {
	platform byte  // 0: x86 BIOS; 0xef: UEFI
	at       int64 // offset of the boot image
}

// readElTorito reads the boot catalogue of an ISO 9660 disc. The checksum of the catalogue is not looked at: firmware does not either.
func readElTorito(d span) ([]discBoot, error) {
	for sector := int64(16); sector < 16+maxISODescriptors && d.has(sector*2048, 2048); sector++ {
		b, err := d.read(sector*2048, 2048)
		if err != nil {
			return nil, err
		}
		if string(b[1:6]) != "CD001" || b[0] == 255 {
			return nil, nil
		}
		if b[0] == 0 && bytes.HasPrefix(b[7:], []byte("EL TORITO SPECIFICATION")) {
			return readBootCatalogue(d, int64(le.Uint32(b[71:]))*2048)
		}
	}
	return nil, nil
}

func readBootCatalogue(d span, at int64) ([]discBoot, error) {
	b, err := d.readUpTo(at, 2048)
	if err != nil || len(b) < 64 || b[0] != 1 || b[30] != 0x55 || b[31] != 0xaa {
		return nil, err
	}
	var boots []discBoot
	platform := b[1]
	for b = b[32:]; len(b) >= 32; b = b[32:] {
		switch b[0] {
		case 0x90, 0x91: // a section of entries for another platform
			platform = b[1]
		case 0x88:
			from := int64(le.Uint32(b[8:])) * 2048
			if b[1]&15 <= 4 && from > 0 && from < d.size {
				boots = append(boots, discBoot{platform, from})
			}
		}
	}
	return boots, nil
}
