"""The little of STS that scripts and Terraform ask first: whose key is this?"""

from mailferry.endpoints.ses.deps import Call, Params, Result


async def get_caller_identity(call: Call, params: Params) -> Result:
    user = f"arn:aws:iam::{call.aws_account}:user/{call.key.name}"
    return {"UserId": call.key.key_id, "Account": call.aws_account, "Arn": user}
