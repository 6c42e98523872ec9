package glance

import "encoding/xml"

// StorageError takes the code and the message out of an error document of S3. Both are "" when the body is none.
func StorageError(body []byte) (code, message string) {
	var doc struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	if xml.Unmarshal(body, &doc) != nil {
		return "", ""
	}
	return doc.Code, doc.Message
}
