package object

import (
	"fmt"
	"slices"
)

// Setting names a document that a client may put on a bucket, by S3's name of the subresource. What is in it is
// for the room to know that acts on it; everybody else carries it.
type Setting string

// The settings that there are.
const (
	SettingCORS         Setting = "cors"
	SettingLifecycle    Setting = "lifecycle"
	SettingLock         Setting = "object-lock"
	SettingOwnership    Setting = "ownershipControls"
	SettingPolicy       Setting = "policy"
	SettingPublicAccess Setting = "publicAccessBlock"
	SettingTags         Setting = "tagging"
)

var settings = []Setting{
	SettingCORS, SettingLifecycle, SettingLock, SettingOwnership, SettingPolicy, SettingPublicAccess, SettingTags,
}

// MaxSetting bounds one document, in bytes: they lie in the catalog, which every router holds whole.
const MaxSetting = 64 << 10

// CheckSetting refuses a setting that does not exist and a document that is too long.
func CheckSetting(name Setting, document string) error {
	if !slices.Contains(settings, name) {
		return fmt.Errorf("bucket setting %.40q does not exist", name)
	}
	if len(document) > MaxSetting {
		return fmt.Errorf("bucket setting %s has %d bytes, want at most %d", name, len(document), MaxSetting)
	}
	return nil
}
