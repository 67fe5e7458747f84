package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	guardedPrefix       = "mainstay-"
	recoveryPrefix      = "mainstay-recovery-"
	recoveryKindsPrefix = "mainstay-recovery-kinds-"

	maxName       = 253
	maxLabelValue = 63
)

// objectName names an object of a rule. No two rules and no two prefixes give
// one name: what follows a prefix is cr-, r-, or for a name that had to be cut
// crh- or rh-, and a namespace has no dots.
func objectName(prefix string, key rule.Key) string {
	kind, name := "cr", key.Name
	if key.Kind == rule.KindRule {
		kind, name = "r", key.Namespace+"."+key.Name
	}
	if full := prefix + kind + "-" + name; len(full) <= maxName {
		return full
	}
	sum := sha256.Sum256([]byte(name))
	head, tail := prefix+kind+"h-", "-"+hex.EncodeToString(sum[:16])
	return head + strings.TrimRight(name[:maxName-len(head)-len(tail)], ".-") + tail
}

// KeyOf is the rule that an object with the annotation AnnotationRule belongs
// to.
func KeyOf(annotation string) (rule.Key, bool) {
	parts := strings.Split(annotation, "/")
	switch {
	case len(parts) == 2 && parts[0] == rule.KindClusterRule:
		return rule.Key{Kind: parts[0], Name: parts[1]}, true
	case len(parts) == 3 && parts[0] == rule.KindRule:
		return rule.Key{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, true
	}
	return rule.Key{}, false
}
