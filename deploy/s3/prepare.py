"""Makes the bucket `artifacts` and says who may do what in it (policy.json); run again it changes nothing.

Endpoint and credentials, those of the server's owner, are botocore's usual variables. A server that is still starting
is asked again.
"""

from pathlib import Path

from botocore.config import Config
from botocore.session import Session

PATIENT = Config(retries={"mode": "standard", "max_attempts": 10})


def main() -> None:
    """Ask for both."""
    client = Session().create_client("s3", region_name="us-east-1", config=PATIENT)
    if "artifacts" not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket="artifacts")
    client.put_bucket_policy(Bucket="artifacts", Policy=Path(__file__).with_name("policy.json").read_text())


if __name__ == "__main__":
    main()
