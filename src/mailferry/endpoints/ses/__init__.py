"""Amazon's dialect: SES v1 and v2, and the little of SNS and STS that scripts call first (docs/ses.md)."""
