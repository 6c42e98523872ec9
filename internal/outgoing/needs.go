package outgoing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// prefixes of actions in IAM, by the SDK's name of a service. S3 is not among them: its actions have other names than its operations, and package s3store tells them.
var prefixes = map[string]string{"DynamoDB": "dynamodb", "SSM": "ssm", "Cognito Identity Provider": "cognito-idp"}

// needs are the actions of an operation that has several.
var needs = map[string]string{"TransactWriteItems": "dynamodb:PutItem, dynamodb:UpdateItem, dynamodb:DeleteItem or dynamodb:ConditionCheckItem"}

// nameMissingRight makes an error of a refusal that says which right is missing.
func nameMissingRight(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NameMissingRight", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleInitialize(ctx, in)
		refused, is := errors.AsType[smithy.APIError](err)
		prefix := prefixes[awsmiddleware.GetServiceID(ctx)]
		if !is || prefix == "" || !strings.HasPrefix(refused.ErrorCode(), "AccessDenied") {
			return out, metadata, err
		}
		operation := awsmiddleware.GetOperationName(ctx)
		return out, metadata, fmt.Errorf("the role needs %s: %w", cmp.Or(needs[operation], prefix+":"+operation), err)
	}), middleware.After)
}
