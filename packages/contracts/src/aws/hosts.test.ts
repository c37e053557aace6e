import { describe, expect, test } from 'vitest'
import samples from './hosts.samples.json' with { type: 'json' }
import { findAwsScope } from './hosts.ts'

describe('the scope of an AWS host', () => {
  test('is what the published endpoint rules sign it with', () => {
    const wrong = samples
      .map(([host, service, region]) => ({ host, expected: { service, region }, found: findAwsScope(host!) }))
      .filter(({ expected, found }) => found?.service !== expected.service || found?.region !== expected.region)
    expect(wrong).toEqual([])
    expect(samples.length).toBeGreaterThan(300)
  })

  test.each([
    // S3 in all its addressing styles.
    ['s3.eu-west-1.amazonaws.com', 's3', 'eu-west-1'],
    ['bucket.s3.eu-west-1.amazonaws.com', 's3', 'eu-west-1'],
    ['my.bucket.name.s3.us-west-2.amazonaws.com', 's3', 'us-west-2'],
    ['us-west-2.s3.eu-west-1.amazonaws.com', 's3', 'eu-west-1'],
    ['bucket.s3.dualstack.ap-southeast-1.amazonaws.com', 's3', 'ap-southeast-1'],
    ['bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com', 's3', 'us-gov-west-1'],
    ['bucket.s3-eu-central-1.amazonaws.com', 's3', 'eu-central-1'],
    ['s3-us-gov-west-1.amazonaws.com', 's3', 'us-gov-west-1'],
    ['s3.amazonaws.com', 's3', 'us-east-1'],
    ['bucket.s3.amazonaws.com', 's3', 'us-east-1'],
    ['us-west-2.s3.amazonaws.com', 's3', 'us-east-1'],
    ['bucket.s3.cn-north-1.amazonaws.com.cn', 's3', 'cn-north-1'],
    ['point-123456789012.s3-accesspoint.us-east-1.amazonaws.com', 's3', 'us-east-1'],
    ['123456789012.s3-control.us-east-1.amazonaws.com', 's3', 'us-east-1'],
    ['name-123456789012.s3-object-lambda.us-east-1.amazonaws.com', 's3-object-lambda', 'us-east-1'],
    ['data--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com', 's3express', 'us-east-1'],
    // VPC endpoints.
    ['vpce-0a1b2c3d-x1y2z3.ec2.us-east-1.vpce.amazonaws.com', 'ec2', 'us-east-1'],
    ['vpce-0a1b2c3d-x1y2z3-us-east-1a.sqs.us-east-1.vpce.amazonaws.com', 'sqs', 'us-east-1'],
    ['bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com', 's3', 'us-east-1'],
    ['vpce-1-2.monitoring.cn-north-1.vpce.amazonaws.com.cn', 'monitoring', 'cn-north-1'],
    // Hosts that begin with a resource.
    ['a1b2c3.execute-api.eu-north-1.amazonaws.com', 'execute-api', 'eu-north-1'],
    ['a1b2c3.lambda-url.eu-north-1.on.aws', 'lambda', 'eu-north-1'],
    ['search-logs-x1y2.eu-west-1.es.amazonaws.com', 'es', 'eu-west-1'],
    ['a1b2c3.us-east-1.aoss.amazonaws.com', 'aoss', 'us-east-1'],
    ['a1b2c3-ats.iot.eu-west-1.amazonaws.com', 'iotdata', 'eu-west-1'],
    ['123456789012.ddb.us-east-1.amazonaws.com', 'dynamodb', 'us-east-1'],
    ['eu-west-1.queue.amazonaws.com', 'sqs', 'eu-west-1'],
    // Labels that are not the signing name.
    ['bedrock-runtime.us-east-1.amazonaws.com', 'bedrock', 'us-east-1'],
    ['email-fips.us-east-1.amazonaws.com', 'ses', 'us-east-1'],
    ['email.eu-west-1.api.aws', 'ses', 'eu-west-1'],
    ['streams.dynamodb.us-east-1.amazonaws.com', 'dynamodb', 'us-east-1'],
    ['runtime-fips.sagemaker.us-east-1.amazonaws.com', 'sagemaker', 'us-east-1'],
    // Global services of each partition.
    ['iam.amazonaws.com', 'iam', 'us-east-1'],
    ['iam.us-gov.amazonaws.com', 'iam', 'us-gov-west-1'],
    ['route53.amazonaws.com.cn', 'route53', 'cn-northwest-1'],
    ['sts.amazonaws.com', 'sts', 'us-east-1'],
  ])('of %s is %s in %s', (host, service, region) => {
    expect(findAwsScope(host)).toEqual({ service, region })
  })

  test.each([
    'api.example.com',
    'minio.internal',
    'amazonaws.com',
    's3.amazonaws.com.example.com',
    'sqs.eu-west-1.amazonaws.com.evil.test',
    'notaservice.eu-west-1.amazonaws.com',
    'sqs.cn-north-1.amazonaws.com',
    'sqs.eu-west-1.amazonaws.com.cn',
    'bucket.s3-accelerate.amazonaws.com',
    'bucket.s3-website-us-east-1.amazonaws.com',
    'eu-west-1.amazonaws.com',
    'vpce.amazonaws.com',
  ])('of %s is unknown', (host) => {
    expect(findAwsScope(host)).toBeUndefined()
  })
})
