import { REGION_LESS_HOSTS, SIGNING_NAMES } from './hosts.generated.ts'
import type { SigningScope } from './signature.ts'

/*
 * Reading right to left after the suffix (`amazonaws.com`, `api.aws`, … and their forms in China):
 *
 *   [resource.] label[-fips] [.dualstack] . region            sqs.eu-west-1, my.bucket.s3.us-east-2
 *   [anything.] vpce-… . label . region . vpce                bucket.vpce-1a2b.s3.us-east-1.vpce
 *   resource . region . label                                 search-x.eu-west-1.es
 *   [bucket.] s3-region                                       the old dash form
 *   [bucket.] s3                                              the old global form, us-east-1
 *   hosts without a region                                    iam, route53, … : a table
 */

const SUFFIXES = [
  '.amazonaws.com.cn',
  '.api.amazonwebservices.com.cn',
  '.amazonaws.com',
  '.api.aws',
  '.on.aws',
] as const
const REGION = /^(?:us-gov|us|eu|ap|sa|ca|me|af|il|mx|cn)-[a-z]+-\d+$/
const DASH_S3 = /^s3-(?:fips-)?((?:us-gov|us|eu|ap|sa|ca|me|af|il|mx|cn)-[a-z]+-\d+)$/

/** Labels that stand behind the name of a resource and so may have anything before them. */
const RESOURCE_LABELS: ReadonlyMap<string, string> = new Map([
  ['appsync-api', 'appsync'],
  ['data.iot', 'iotdata'],
  ['data.mediastore', 'mediastore'],
  ['ddb', 'dynamodb'],
  ['execute-api', 'execute-api'],
  ['iot', 'iotdata'],
  ['kinesisvideo', 'kinesisvideo'],
  ['lambda-url', 'lambda'],
  ['s3', 's3'],
  ['s3-accesspoint', 's3'],
  ['s3-control', 's3'],
  ['s3-object-lambda', 's3-object-lambda'],
  ['s3-outposts', 's3-outposts'],
])

/** Labels that stand to the right of their region. */
const LABELS_AFTER_REGION: ReadonlyMap<string, string> = new Map([
  ['aoss', 'aoss'],
  ['cloudsearch', 'cloudsearch'],
  ['es', 'es'],
  ['neptune', 'neptune-db'],
  ['queue', 'sqs'],
])

/** Old hosts that name no region and that no endpoint rule produces any more, yet they answer. */
const OLD_REGION_LESS: ReadonlyMap<string, SigningScope> = new Map(
  ['autoscaling', 'ec2', 'elasticmapreduce', 'sts'].map((service) => [
    `${service}.amazonaws.com`,
    { service, region: 'us-east-1' },
  ]),
)

/** S3 Express puts the availability zone behind its label: `s3express-use1-az4`. */
const S3_EXPRESS = /^s3express-(?:fips-)?(?:[a-z0-9]+-az\d+|control)$/

/** The scope that a request to `host`, in lower case, is signed for, or undefined for a host that does not say. */
export function findAwsScope(host: string): SigningScope | undefined {
  const fixed = REGION_LESS_HOSTS.get(host)
  if (fixed !== undefined) return { service: fixed[0], region: fixed[1] }
  const suffix = SUFFIXES.find((one) => host.endsWith(one))
  if (suffix === undefined) return OLD_REGION_LESS.get(host)
  const scope =
    scopeOfLabels(withoutVpcEndpoint(host.slice(0, -suffix.length).split('.')), suffix) ?? OLD_REGION_LESS.get(host)
  // A region of China under a suffix of elsewhere, or the reverse, is no host of AWS.
  if (scope === undefined || scope.region.startsWith('cn-') !== suffix.endsWith('.cn')) return undefined
  return scope
}

function scopeOfLabels(labels: string[], suffix: (typeof SUFFIXES)[number]): SigningScope | undefined {
  const last = labels[labels.length - 1] ?? ''
  if (REGION.test(last)) {
    const service = serviceOf(labels.slice(0, -1))
    return service === undefined ? undefined : { service, region: last }
  }
  const beforeLast = labels[labels.length - 2] ?? ''
  const afterRegion = LABELS_AFTER_REGION.get(last)
  if (afterRegion !== undefined && REGION.test(beforeLast)) return { service: afterRegion, region: beforeLast }
  if (suffix !== '.amazonaws.com' && suffix !== '.amazonaws.com.cn') return undefined
  const dashed = DASH_S3.exec(last)
  if (dashed !== null) return { service: 's3', region: dashed[1]! }
  if (last === 's3' || last === 's3-external-1') return { service: 's3', region: 'us-east-1' }
  return undefined
}

function serviceOf(labels: string[]): string | undefined {
  const plain = labels
    .filter((label, index) => !((label === 'dualstack' || label === 'fips') && index === labels.length - 1))
    .map((label, index, all) =>
      index === all.length - 1 || all.length === 2 ? label.replace(/-fips$|^fips-/, '') : label,
    )
  const known = SIGNING_NAMES.get(plain.join('.'))
  if (known !== undefined) return known
  if (S3_EXPRESS.test(plain[plain.length - 1] ?? '')) return 's3express'
  return RESOURCE_LABELS.get(plain.slice(-2).join('.')) ?? RESOURCE_LABELS.get(plain.slice(-1).join('.'))
}

/** Drops the endpoint's own name, what stands before it, and the final `vpce`. */
function withoutVpcEndpoint(labels: string[]): string[] {
  if (labels[labels.length - 1] !== 'vpce') return labels
  const endpoint = labels.findIndex((label) => label.startsWith('vpce-'))
  return endpoint === -1 ? [] : labels.slice(endpoint + 1, -1)
}
