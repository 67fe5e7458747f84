package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/certs"
)

const (
	// patience is how long gates that come back are removed again: after that they do so
	// for good. The first removal takes what it takes.
	patience = 30 * time.Second
	// calm is how long no gate may come back before they count as open: as long as a
	// controller that was about to write one may take to hear of the record.
	calm = 2 * time.Second
	// lookEvery is how often it is looked at meanwhile.
	lookEvery = 500 * time.Millisecond
)

// Opening is what Open was asked for.
type Opening struct {
	// Namespace of Mainstay, where the record is kept.
	Namespace string
	// Reason for whoever finds the gates open; at most MaxReason bytes.
	Reason string
	// Out is told each step as it is done.
	Out io.Writer
}

// ConfigurationName is the name of the ValidatingWebhookConfiguration that Mainstay
// fills.
const ConfigurationName = certs.ConfigurationName

// OpenEntry is its entry about Mainstay's own kinds. It fails open, and is no gate.
const OpenEntry = "validate.mainstay.dev"

// Validate returns what is wrong with it.
func (o Opening) Validate() error {
	return errors.Join(ValidateNamespace(o.Namespace), validateReason(o.Reason))
}

// Open removes every binding and every webhook through which a rule denies or warns,
// and leaves a record that keeps a controller from making them again. It does as much as
// it can: where the record cannot be written, the gates are removed all the same, and the
// webhooks are first, through which requests fail where nobody answers. An error says what
// is left to do. It gives up on gates that come back after half a minute.
//
// It needs the rights to create and get ConfigMaps in the namespace, to list and delete
// ValidatingAdmissionPolicyBindings, and to get and patch the
// ValidatingWebhookConfiguration ConfigurationName.
func Open(ctx context.Context, client kubernetes.Interface, o Opening) error {
	if err := o.Validate(); err != nil {
		return err
	}
	other := elsewhere(ctx, client, o.Namespace)
	// The record is first: without it a controller that lives closes the gates again.
	recorded := record(ctx, client, o)
	if recorded != nil {
		_, _ = fmt.Fprintf(o.Out, "%v\n", recorded)
	}
	if err := removeGates(ctx, client, o.Out); err != nil {
		return errors.Join(recorded, err)
	}
	if other != "" {
		return fmt.Errorf("the gates are open until a controller runs: ValidatingWebhookConfiguration %s leads to Mainstay in namespace %s, which does not look for a record in %s. "+
			"Once more, with --namespace %s, keeps them open", ConfigurationName, other, o.Namespace, other)
	}
	if recorded != nil {
		return fmt.Errorf("%w\nthe gates are open until a controller runs, which closes them again. To keep them open: "+
			"kubectl -n %s create configmap %s --from-literal=%s=…", recorded, o.Namespace, RecordName, keyReason)
	}
	_, _ = fmt.Fprintln(o.Out, "open: no gate of Mainstay is left. mainstay lock closes them again")
	return nil
}

// elsewhere is the namespace that the webhook configuration leads to, where that is not the
// given one: a record here keeps nothing open there. What cannot be read is no reason not to
// open: who removes the webhooks says so.
func elsewhere(ctx context.Context, client kubernetes.Interface, namespace string) string {
	config, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, ConfigurationName, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	for i := range config.Webhooks {
		if service := config.Webhooks[i].ClientConfig.Service; service != nil && service.Namespace != namespace {
			return service.Namespace
		}
	}
	return ""
}

// record writes who opened the gates. A record that is there already stays as it is.
func record(ctx context.Context, client kubernetes.Interface, o Opening) error {
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: RecordName, Namespace: o.Namespace},
		Data:       map[string]string{keyReason: o.Reason, keyBy: whoAmI(ctx, client)},
	}
	configs := client.CoreV1().ConfigMaps(o.Namespace)
	made, err := configs.Create(ctx, config, metav1.CreateOptions{FieldManager: "mainstay-unlock"})
	if apierrors.IsAlreadyExists(err) {
		if made, err = configs.Get(ctx, RecordName, metav1.GetOptions{}); err == nil {
			_, _ = fmt.Fprintf(o.Out, "ConfigMap %s/%s is there already: %s\n", o.Namespace, RecordName, RecordOf(made))
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("writing the record, ConfigMap %s/%s: %w", o.Namespace, RecordName, err)
	}
	_, _ = fmt.Fprintf(o.Out, "recorded in ConfigMap %s/%s: %s\n", o.Namespace, RecordName, RecordOf(made))
	return nil
}

// whoAmI is the caller's name, as the API server knows it; empty where it does not say.
func whoAmI(ctx context.Context, client kubernetes.Interface) string {
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	return review.Status.UserInfo.Username
}

// removeGates removes the webhooks and bindings of rules until none has come back for a
// while.
func removeGates(ctx context.Context, client kubernetes.Interface, out io.Writer) error {
	_, err := removeAll(ctx, client, out)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	end := time.After(patience)
	back := 0
	for quiet := time.Duration(0); quiet < calm; quiet += lookEvery {
		if err != nil && !deniedByPolicy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, comesBack(back, ctx.Err()))
		case <-end:
			return errors.Join(err, comesBack(back, errors.New("given up")))
		case <-ticker.C:
		}
		var again int
		if again, err = removeAll(ctx, client, out); again > 0 || err != nil {
			quiet, back = 0, back+again
		}
	}
	return err
}

// deniedByPolicy says whether it is a policy that denies, as one of a rule about all webhook
// configurations may: until the API server has heard that its binding is gone.
func deniedByPolicy(err error) bool {
	return strings.Contains(err.Error(), "ValidatingAdmissionPolicy '")
}

// comesBack says why the gates are not open for good, of which so many came back.
func comesBack(back int, err error) error {
	if back == 0 {
		return fmt.Errorf("removing the webhooks and bindings of Mainstay's rules: %w before it was seen that none comes back", err)
	}
	return fmt.Errorf("removing the webhooks and bindings of Mainstay's rules: %w, %d came back: a controller makes them again, because there is no record in its own namespace. "+
		"kubectl get deployments -A -l app.kubernetes.io/name=mainstay says which that is: name it with --namespace", err, back)
}

// removeAll removes each once, and returns how many there were. One that cannot be removed
// keeps no other one closed.
func removeAll(ctx context.Context, client kubernetes.Interface, out io.Writer) (int, error) {
	webhooks, refused := removeWebhooks(ctx, client, out)
	bindings, err := removeBindings(ctx, client, out)
	return webhooks + bindings, errors.Join(refused, err)
}

func removeBindings(ctx context.Context, client kubernetes.Interface, out io.Writer) (int, error) {
	bindings := client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	list, err := bindings.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing the ValidatingAdmissionPolicyBindings: %w", err)
	}
	var errs []error
	n := 0
	for i := range list.Items {
		binding := &list.Items[i]
		// Somebody may have changed the one or the other.
		if binding.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy && binding.Annotations[v1alpha1.AnnotationRule] == "" {
			continue
		}
		n++
		if err := bindings.Delete(ctx, binding.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("deleting ValidatingAdmissionPolicyBinding %s: %w", binding.Name, err))
			continue
		}
		_, _ = fmt.Fprintf(out, "deleted ValidatingAdmissionPolicyBinding %s\n", binding.Name)
	}
	return n, errors.Join(errs...)
}

// removeWebhooks takes the entries of rules out of the webhook configuration. The object
// stays, for the controller to fill when the gates are closed again.
func removeWebhooks(ctx context.Context, client kubernetes.Interface, out io.Writer) (int, error) {
	configurations := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	config, err := configurations.Get(ctx, ConfigurationName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading ValidatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	kept := []admissionregistrationv1.ValidatingWebhook{}
	for i := range config.Webhooks {
		if config.Webhooks[i].Name == OpenEntry {
			kept = append(kept, config.Webhooks[i])
		}
	}
	n := len(config.Webhooks) - len(kept)
	if n == 0 {
		return 0, nil
	}
	patch, err := PatchKeeping(config, kept)
	if err != nil {
		return n, err
	}
	_, err = configurations.Patch(ctx, config.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "mainstay-unlock"})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return n, nil
	}
	if err != nil {
		return 0, fmt.Errorf("emptying ValidatingWebhookConfiguration %s: %w", config.Name, err)
	}
	_, _ = fmt.Fprintf(out, "removed %d webhooks from ValidatingWebhookConfiguration %s\n", n, config.Name)
	return n, nil
}

// PatchKeeping is the merge patch that leaves these webhooks of a configuration, and takes no
// field from whoever owns one of them. Where somebody writes meanwhile it is a conflict: what
// that was is to be looked at again, not overwritten.
func PatchKeeping(config *admissionregistrationv1.ValidatingWebhookConfiguration, kept []admissionregistrationv1.ValidatingWebhook) ([]byte, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": config.ResourceVersion}, "webhooks": kept})
	if err != nil {
		return nil, fmt.Errorf("writing down the webhooks that stay in ValidatingWebhookConfiguration %s: %w", config.Name, err)
	}
	return patch, nil
}

// Close removes the record, so that the controller makes the gates again. Closing
// what is not open is no error. It needs the right to get and delete ConfigMaps in
// the namespace.
func Close(ctx context.Context, client kubernetes.Interface, namespace string, out io.Writer) error {
	if err := ValidateNamespace(namespace); err != nil {
		return err
	}
	configs := client.CoreV1().ConfigMaps(namespace)
	config, err := configs.Get(ctx, RecordName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, _ = fmt.Fprintf(out, "not open: there is no ConfigMap %s/%s. Where Mainstay is in another namespace, name it with --namespace\n", namespace, RecordName)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the record, ConfigMap %s/%s: %w", namespace, RecordName, err)
	}
	err = configs.Delete(ctx, RecordName, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &config.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the record, ConfigMap %s/%s: %w", namespace, RecordName, err)
	}
	_, _ = fmt.Fprintf(out, "deleted ConfigMap %s/%s, %s\n", namespace, RecordName, RecordOf(config))
	_, _ = fmt.Fprintln(out, "closing: the controller makes the gates again as soon as one leads; kubectl get clusterrules,rules.mainstay.dev -A says when")
	return nil
}
