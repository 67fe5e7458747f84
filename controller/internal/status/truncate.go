package status

import "unicode/utf8"

// maxMessage bounds messages, in bytes, as the schemas do.
const maxMessage = 1024

// Truncate cuts a message to 1 KiB, at a rune.
func Truncate(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	cut := message[:maxMessage-3]
	for len(cut) > 0 && !utf8.ValidString(cut) {
		cut = cut[:len(cut)-1]
	}
	return cut + "..."
}
