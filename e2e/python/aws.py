"""An AWS on loopback that refuses unsigned and wrongly signed requests. Prints how to reach it; ends with its standard input."""

import json
import sys

import boto3
import requests
from moto.server import ThreadedMotoServer

BUCKET = "vault-e2e"
REGION = "eu-central-1"

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"

bootstrap = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "first", "aws_secret_access_key": "first"}
iam = boto3.client("iam", **bootstrap)
iam.create_user(UserName="vault")
allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="vault", PolicyName="objects", PolicyDocument=json.dumps(allowed))
key = iam.create_access_key(UserName="vault")["AccessKey"]
boto3.client("s3", **bootstrap).create_bucket(
    Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
)

# From here on every call needs a signature that verifies.
requests.post(f"{url}/moto-api/reset-auth", data="0", headers={"Content-Type": "text/plain"}, timeout=10).raise_for_status()

print(
    json.dumps(
        {
            "url": url,
            "host": f"{host}:{port}",
            "bucket": BUCKET,
            "region": REGION,
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
        }
    ),
    flush=True,
)
sys.stdin.read()
server.stop()
