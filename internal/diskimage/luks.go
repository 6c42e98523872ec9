package diskimage

// openLUKS reads the header of an encrypted volume. What is inside cannot be checked; without a key id on the record it is refused.
func openLUKS(f span, lim limits, keyID string) (*volume, error) {
	b, err := f.read(0, 112)
	if err != nil {
		return nil, err
	}
	version := be.Uint16(b[6:])
	if version != 1 && version != 2 {
		return nil, reject(CodeUnknownFeature, "Make the encrypted volume again with a current cryptsetup.", "The LUKS header has version %d; 1 and 2 are known.", version)
	}
	if keyID == "" {
		return nil, reject(CodeEncrypted, "Upload the decrypted disk, or set cinder_encryption_key_id if this is an encrypted volume of Cinder.", "The contents are encrypted with LUKS, so they cannot be checked.")
	}
	v := &volume{format: "luks", size: f.size, warnings: []Warning{warnLUKS}}
	if version == 1 {
		payload := int64(be.Uint32(b[104:])) * 512
		if payload > f.size {
			return nil, reject(CodeTruncated, hintWhole, "The encrypted contents begin at byte %d, past the end of the file at byte %d.", payload, f.size)
		}
		v.size = f.size - payload
	}
	return v, nil
}

var warnLUKS = Warning{CodeEncrypted, "The contents are encrypted with LUKS and were not checked.", ""}
