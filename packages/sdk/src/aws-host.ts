/** Region and signing name of an AWS endpoint, read from its host name. */

export type AwsScope = { region: string; service: string }

const REGION = /^[a-z]{2,3}(-[a-z]+)+-\d{1,2}$/

/** Hosts without a region, by partition suffix. */
const GLOBAL_REGION: Readonly<Record<string, string>> = {
  'amazonaws.com': 'us-east-1',
  'amazonaws.com.cn': 'cn-northwest-1',
  'api.aws': 'us-east-1',
}

/** Endpoint prefixes whose signing name is another word. */
const SIGNING_NAMES: Readonly<Record<string, string>> = {
  'api.detective': 'detective',
  'api.ecr': 'ecr',
  'api.ecr-public': 'ecr-public',
  'api.pricing': 'pricing',
  'api.sagemaker': 'sagemaker',
  'api.tunneling.iot': 'iot',
  'bedrock-agent': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
  'bedrock-runtime': 'bedrock',
  'data-ats.iot': 'iotdata',
  'data.iot': 'iotdata',
  email: 'ses',
  'email-smtp': 'ses',
  'entitlement.marketplace': 'aws-marketplace',
  'metering.marketplace': 'aws-marketplace',
  'mturk-requester': 'mturk-requester',
  'models.lex': 'lex',
  queue: 'sqs',
  'runtime.lex': 'lex',
  'runtime.sagemaker': 'sagemaker',
  'streams.dynamodb': 'dynamodb',
}

/**
 * Recognises `service[-fips].[dualstack.]region.amazonaws.com[.cn]` and `….api.aws`, S3 with the bucket in front and in
 * its dash and global forms, VPC endpoints, function URLs, search domains, and services without a region.
 * `undefined` for every other host.
 */
export function parseAwsHost(hostname: string): AwsScope | undefined {
  const host = hostname.toLowerCase()
  const functionUrl = /^[a-z0-9]+\.lambda-url\.([a-z0-9-]+)\.on\.aws$/.exec(host)
  if (functionUrl) return { region: functionUrl[1]!, service: 'lambda' }

  const suffix = Object.keys(GLOBAL_REGION).find((candidate) => host.endsWith(`.${candidate}`))
  if (!suffix) return undefined
  const labels = host
    .slice(0, -suffix.length - 1)
    .split('.')
    .filter((label) => label !== 'dualstack')
  if (labels.at(-1) === 'vpce') labels.pop()

  const dashS3 = labels.findIndex((label) => /^s3-(?!accesspoint|control|outposts|object-lambda|fips)/.test(label))
  if (dashS3 !== -1 && dashS3 === labels.length - 1) {
    const region = labels[dashS3]!.slice('s3-'.length)
    return REGION.test(region) ? { region, service: 's3' } : undefined
  }
  if (['es', 'aoss'].includes(labels.at(-1)!) && REGION.test(labels.at(-2) ?? '')) {
    return { region: labels.at(-2)!, service: labels.at(-1)! }
  }

  const regionAt = labels.findLastIndex((label) => REGION.test(label))
  if (regionAt === -1) return withoutRegion(labels, GLOBAL_REGION[suffix]!)
  if (regionAt === 0 || regionAt !== labels.length - 1) return undefined
  return { region: labels[regionAt]!, service: signingName(labels.slice(0, regionAt)) }
}

function withoutRegion(labels: readonly string[], globalRegion: string): AwsScope | undefined {
  const service = labels.at(-1)
  if (service === 's3') return { region: globalRegion, service }
  return labels.length === 1 && service ? { region: globalRegion, service: signingName(labels) } : undefined
}

/** Labels in front of the region: the last one or two name the service, what is before them a resource. */
function signingName(labels: readonly string[]): string {
  const bare = labels.map((label) => label.replace(/-fips$|^fips-/, ''))
  const last = bare.at(-1)!
  if (/^s3(-accesspoint)?$/.test(last)) return 's3'
  return SIGNING_NAMES[bare.slice(-2).join('.')] ?? SIGNING_NAMES[last] ?? last
}
