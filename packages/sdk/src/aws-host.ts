/**
 * Region and signing name of an AWS endpoint, read from its host name, right to left after the suffix:
 *
 *   [resource.] service[-fips] [.dualstack] . region         sqs.eu-west-1, bucket.s3.us-east-2
 *   [anything.] vpce-… . service . region . vpce             bucket.vpce-1a2b.s3.us-east-1.vpce
 *   resource . region . service                              search-x.eu-west-1.es
 *   [bucket.] s3-region                                      the old dash form
 *   service[-fips] [.global | .us-gov]                       a service with one region per partition
 */

export type AwsScope = { region: string; service: string }

const REGION = /^(?:us-gov|[a-z]{2})-[a-z]+-\d+$/
const DASH_S3 = /^s3-(?:fips-)?((?:us-gov|[a-z]{2})-[a-z]+-\d+)$/

/** Suffixes of AWS hosts, and the region of services that name none there. */
const SUFFIXES: readonly (readonly [suffix: string, globalRegion: string])[] = [
  ['.amazonaws.com.cn', 'cn-northwest-1'],
  ['.api.amazonwebservices.com.cn', 'cn-northwest-1'],
  ['.amazonaws.com', 'us-east-1'],
  ['.api.aws', 'us-east-1'],
  ['.on.aws', 'us-east-1'],
]

/** Hosts of services without a region that do not follow the rule of their suffix. */
const IRREGULAR_HOSTS: Readonly<Record<string, AwsScope>> = {
  'budgets.api.aws': { service: 'budgets', region: 'us-gov-west-1' },
  'cloudfront.api.aws': { service: 'cloudfront', region: 'us-gov-west-1' },
  'cloudfront-fips.api.aws': { service: 'cloudfront', region: 'us-gov-west-1' },
  'iam.global.api.amazonwebservices.com.cn': { service: 'iam', region: 'cn-north-1' },
}

/** Services that stand to the right of their region. */
const AFTER_REGION: Readonly<Record<string, string>> = {
  aoss: 'aoss',
  cloudsearch: 'cloudsearch',
  es: 'es',
  neptune: 'neptune-db',
  queue: 'sqs',
}

/** Where the signing name is not the last label before the region. Every other service signs under that label. */
const SIGNING_NAMES: Readonly<Record<string, string>> = {
  'agreement-marketplace': 'aws-marketplace',
  aos: 'es',
  'api.iot-tunneling': 'IoTSecuredTunneling',
  'api.tunneling.iot': 'IoTSecuredTunneling',
  appconfigdata: 'appconfig',
  appstream2: 'appstream',
  'appsync-api': 'appsync',
  'arc-recovery-control-config': 'route53-recovery-control-config',
  'bedrock-agent': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
  'bedrock-agentcore-control': 'bedrock-agentcore',
  'bedrock-data-automation': 'bedrock',
  'bedrock-data-automation-runtime': 'bedrock',
  'bedrock-runtime': 'bedrock',
  'cassandra-streams': 'cassandra',
  'catalog-marketplace': 'aws-marketplace',
  'catalog.marketplace': 'aws-marketplace',
  cloudhsmv2: 'cloudhsm',
  cloudsearchdomain: 'cloudsearch',
  'contact-lens': 'connect',
  'data-ats.iot': 'iotdata',
  'data-signer': 'signer',
  'data.ats.iot': 'iotdata',
  'data.iot': 'iotdata',
  'data.iotevents': 'ioteventsdata',
  'data.jobs.iot': 'iot-jobs-data',
  ddb: 'dynamodb',
  'deployment-marketplace': 'aws-marketplace',
  'discovery-marketplace': 'aws-marketplace',
  efs: 'elasticfilesystem',
  email: 'ses',
  'entitlement-marketplace': 'aws-marketplace',
  'entitlement.marketplace': 'aws-marketplace',
  forecastquery: 'forecast',
  'identity-chime': 'chime',
  ivsrealtime: 'ivs',
  'kafka-api': 'kafka',
  'lambda-url': 'lambda',
  'mail-manager': 'ses',
  'maps.geo': 'geo-maps',
  'media-pipelines-chime': 'chime',
  'meetings-chime': 'chime',
  'memory-db': 'memorydb',
  'messaging-chime': 'chime',
  'metering-marketplace': 'aws-marketplace',
  'metering.marketplace': 'aws-marketplace',
  'migrationhub-config': 'mgh',
  'models-v2-lex': 'lex',
  oidc: 'sso-oauth',
  'participant.connect': 'execute-api',
  'personalize-events': 'personalize',
  'personalize-runtime': 'personalize',
  pinpoint: 'mobiletargeting',
  'places.geo': 'geo-places',
  'portal.sso': 'awsssoportal',
  'reporting-marketplace': 'aws-marketplace',
  'routes.geo': 'geo-routes',
  'runtime-v2-lex': 'lex',
  's3-accesspoint': 's3',
  's3-control': 's3',
  'servicecatalog-appregistry': 'servicecatalog',
  'sms-voice.pinpoint': 'sms-voice',
  'streams-dynamodb': 'dynamodb',
  'timestream-ingest': 'timestream',
  'timestream-query': 'timestream',
  'voice-chime': 'chime',
}

/** What a request to this host is signed for; `undefined` for a host that does not say. */
export function parseAwsHost(hostname: string): AwsScope | undefined {
  const host = hostname.toLowerCase()
  if (Object.hasOwn(IRREGULAR_HOSTS, host)) return IRREGULAR_HOSTS[host]
  const [suffix, globalRegion] = SUFFIXES.find(([candidate]) => host.endsWith(candidate)) ?? []
  if (suffix === undefined || globalRegion === undefined) return undefined

  const labels = withoutVpcEndpoint(host.slice(0, -suffix.length).split('.'))
  const last = labels.at(-1) ?? ''
  const beforeLast = labels.at(-2) ?? ''
  if (REGION.test(last)) {
    return labels.length === 1 ? undefined : { region: last, service: signingName(labels.slice(0, -1)) }
  }
  if (REGION.test(beforeLast) && Object.hasOwn(AFTER_REGION, last)) {
    return { region: beforeLast, service: AFTER_REGION[last]! }
  }
  const dashed = DASH_S3.exec(last)
  if (dashed) return { region: dashed[1]!, service: 's3' }
  if (last === 's3' || last === 's3-external-1') return { region: globalRegion, service: 's3' }
  if (last === 'us-gov' && labels.length === 2) return { region: 'us-gov-west-1', service: signingName([beforeLast]) }
  if (last === 'global' && labels.length === 2) return { region: globalRegion, service: signingName([beforeLast]) }
  return labels.length === 1 && last !== '' ? { region: globalRegion, service: signingName(labels) } : undefined
}

/** Labels in front of the region: the last one to three name the service, what is before them a resource. */
function signingName(labels: readonly string[]): string {
  const bare = labels
    .filter((label, index) => index !== labels.length - 1 || !['dualstack', 'fips'].includes(label))
    .map((label) => label.replace(/-fips$|^fips-/, ''))
  for (const length of [3, 2, 1]) {
    const name = bare.slice(-length).join('.')
    if (Object.hasOwn(SIGNING_NAMES, name)) return SIGNING_NAMES[name]!
  }
  const last = bare.at(-1) ?? labels.at(-1)!
  if (last === 'iot' && bare.length > 1) return 'iotdata'
  return last.startsWith('s3express-') ? 's3express' : last
}

/** Drops the endpoint's own name, what stands before it, and the final `vpce`. */
function withoutVpcEndpoint(labels: readonly string[]): readonly string[] {
  if (labels.at(-1) !== 'vpce') return labels
  const endpoint = labels.findIndex((label) => label.startsWith('vpce-'))
  return endpoint === -1 ? [] : labels.slice(endpoint + 1, -1)
}
