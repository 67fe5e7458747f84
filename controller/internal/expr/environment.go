package expr

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

// Names of the variables that expressions see. The first five are upstream's.
const (
	objectVar    = admissioncel.ObjectVarName
	oldObjectVar = admissioncel.OldObjectVarName
	requestVar   = admissioncel.RequestVarName
	namespaceVar = admissioncel.NamespaceVarName
	variablesVar = admissioncel.VariableVarName
	refsVar      = "refs"
)

// Type names as error messages print them. The first is upstream's.
const (
	variablesTypeName = "kubernetes.variables"
	refsTypeName      = "mainstay.refs"
)

// beforeLists is the last minor version of Kubernetes 1 without cel-go's lists library.
// With that library, each evaluation of each expression fills a map with the cost
// functions of the library anew, whether or not it calls any.
const beforeLists = 33

// apiServerEnvironments are those of the API server: with what stored expressions may
// use, which is everything, and with what Kubernetes 1.33 has.
func apiServerEnvironments() *environment.EnvSet {
	return environment.MustBaseEnvSet(version.MajorMinor(1, beforeLists))
}

// environments are what an expression is checked in, and what it is planned in.
type environments struct {
	// full has everything, and knows every type.
	full *cel.Env
	// lean has what Kubernetes 1.33 has.
	lean *cel.Env
	// overloads are those that lean has.
	overloads sets.Set[string]
}

// newEnvironments declares what every expression sees, match conditions among them. As
// upstream, those see no variables, and a namespaceObject that would always be null.
func newEnvironments(more ...cel.EnvOption) (environments, error) {
	requestType := admissioncel.BuildRequestType()
	set, err := apiServerEnvironments().Extend(
		environment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			EnvOptions: append(more,
				cel.Variable(objectVar, cel.DynType),
				cel.Variable(oldObjectVar, cel.DynType),
				cel.Variable(requestVar, requestType.CelType()),
				selectorMatchesFunction(),
				cel.Macros(cel.GlobalMacro(selectorMatchesName, 2, absentIsNull)),
			),
			DeclTypes: []*apiservercel.DeclType{requestType},
		},
		environment.StrictCostOpt,
	)
	if err != nil {
		return environments{}, fmt.Errorf("extending the API server's CEL environment: %w", err)
	}
	lean := set.NewExpressionsEnv()
	overloads := sets.Set[string]{}
	for _, function := range lean.Functions() {
		for _, overload := range function.OverloadDecls() {
			overloads.Insert(overload.ID())
		}
	}
	return environments{full: set.StoredExpressionsEnv(), lean: lean, overloads: overloads}, nil
}

// planner is the environment that a checked expression is planned in: the lean one where
// that has every function that the expression may call. To plan it needs no variables and
// no types, as what was checked names them.
func (e environments) planner(checked *cel.Ast) *cel.Env {
	for _, reference := range checked.NativeRep().ReferenceMap() {
		if !e.overloads.HasAll(reference.OverloadIDs...) {
			return e.full
		}
	}
	return e.lean
}

// authorizerVariables are what expressions see beside the request itself of
// who makes it.
func authorizerVariables() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Variable(admissioncel.AuthorizerVarName, library.AuthorizerType),
		cel.Variable(admissioncel.RequestResourceAuthorizerVarName, library.ResourceCheckType),
	}
}

// forRule adds what validations, variables and messages see beyond that. The fields of
// the two types are filled while a rule is compiled, so that a variable sees those before
// it and nothing else.
func (e environments) forRule(variablesType, refsType *apiservercel.DeclType) (environments, error) {
	namespaceType := admissioncel.BuildNamespaceType()
	provider := apiservercel.NewDeclTypeProvider(namespaceType, variablesType, refsType)
	provider.SetRecognizeKeywordAsFieldName(true)
	options, err := provider.EnvOptions(e.full.CELTypeProvider())
	if err != nil {
		return environments{}, fmt.Errorf("declaring the types of a rule: %w", err)
	}
	options = append(options,
		cel.Variable(namespaceVar, namespaceType.CelType()),
		cel.Variable(variablesVar, variablesType.CelType()),
		cel.Variable(refsVar, refsType.CelType()),
	)
	if e.full, err = e.full.Extend(options...); err != nil {
		return environments{}, fmt.Errorf("extending the CEL environment for a rule: %w", err)
	}
	return e, nil
}

func newRefsType(names []string) *apiservercel.DeclType {
	fields := make(map[string]*apiservercel.DeclField, len(names))
	for _, name := range names {
		listType := apiservercel.NewListType(apiservercel.DynType, -1)
		fields[name] = apiservercel.NewDeclField(name, listType, true, nil, nil)
	}
	return apiservercel.NewObjectType(refsTypeName, fields)
}

// declTypeOf is the declared type of a variable whose expression has the given
// type, so that its uses are type-checked. Types that upstream does not carry
// over are dynamic.
func declTypeOf(t *cel.Type) *apiservercel.DeclType {
	switch t {
	case cel.AnyType:
		return apiservercel.AnyType
	case cel.BoolType:
		return apiservercel.BoolType
	case cel.BytesType:
		return apiservercel.BytesType
	case cel.DoubleType:
		return apiservercel.DoubleType
	case cel.DurationType:
		return apiservercel.DurationType
	case cel.IntType:
		return apiservercel.IntType
	case cel.NullType:
		return apiservercel.NullType
	case cel.StringType:
		return apiservercel.StringType
	case cel.TimestampType:
		return apiservercel.TimestampType
	case cel.UintType:
		return apiservercel.UintType
	}
	switch {
	case t == nil:
		return apiservercel.DynType
	case t.Kind() == types.ListKind && len(t.Parameters()) == 1:
		return apiservercel.NewListType(declTypeOf(t.Parameters()[0]), -1)
	case t.Kind() == types.MapKind && len(t.Parameters()) == 2:
		return apiservercel.NewMapType(declTypeOf(t.Parameters()[0]), declTypeOf(t.Parameters()[1]), -1)
	}
	return apiservercel.DynType
}
