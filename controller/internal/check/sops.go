package check

import (
	"fmt"
	"strings"
)

// sopsField is where SOPS keeps, beside an object's own fields, how it encrypted them.
// Flux decrypts an object that has it, and takes it away.
const sopsField = "sops"

// decrypt takes away what SOPS added. The values that it encrypted stay: that they are
// there is known.
func (o *object) decrypt() {
	if _, is := o.Object[sopsField].(map[string]any); !is {
		return
	}
	o.Unstructured = o.DeepCopy()
	delete(o.Object, sopsField)
	o.encrypted = true
}

// known is an object without the values that SOPS encrypted.
func (o *object) known() map[string]any {
	if !o.encrypted {
		return o.Object
	}
	content, _ := without(o.Object, isEncrypted).(map[string]any)
	return content
}

// isEncrypted says whether a text is a value that SOPS encrypted.
func isEncrypted(text string) bool {
	return strings.HasPrefix(text, "ENC[") && strings.HasSuffix(text, "]")
}

// encrypted notes the objects that SOPS encrypted.
func (r *run) encrypted() {
	var names []string
	for _, obj := range r.objects.all {
		if obj.encrypted {
			names = append(names, obj.id())
		}
	}
	if len(names) > 0 {
		r.note(Note{Check: Encrypted, Message: fmt.Sprintf("%d %s encrypted by SOPS, whose values are not seen: %s",
			len(names), plural(len(names), "object is", "objects are"), some(names))})
	}
}
