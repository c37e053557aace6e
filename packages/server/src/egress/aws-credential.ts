import { findAwsScope } from '@alter-vault/contracts/aws/hosts'
import type { SigningScope } from '@alter-vault/contracts/aws/signature'
import { Secret } from '../crypto/secret.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { CanonicalUrl } from './canonical-url.ts'
import { type CredentialKind, type CredentialMembers, fault, headerText, type ValueOf } from './credential-kind.ts'
import { SIGV4_FORMAT } from './injection.ts'
import { AWS_SIGNING_HEADERS, signAwsRequest } from './sigv4.ts'

const ACCESS_KEY_ID = /^[A-Z0-9]{16,128}$/
const AWS_LABEL = /^[a-z0-9-]{1,63}$/

type AwsKeys = ValueOf<'aws_sigv4'>

/** AWS keys do not travel, they sign. */
export const awsCredential: CredentialKind<AwsKeys> = {
  type: 'aws_sigv4',
  members: ['access_key_id', 'secret_access_key', 'session_token', 'region', 'service'],
  standard: { name: 'AWS Signature Version 4', format: SIGV4_FORMAT },
  signs: true,
  hasFields: false,
  querySpace: '%20',

  parse(read) {
    const accessKeyId = headerText(read, 'access_key_id')
    if (accessKeyId !== '' && !ACCESS_KEY_ID.test(accessKeyId)) {
      const message = 'Expected "access_key_id" to be 16 to 128 capital letters and digits.'
      fault(read, 'access_key_id', 'invalid', message)
    }
    const secretAccessKey = new Secret(headerText(read, 'secret_access_key'))
    const hasSession = read.record.session_token != null
    const sessionToken = hasSession ? new Secret(headerText(read, 'session_token')) : undefined
    const region = label(read, 'region', 'a region such as "eu-central-1"')
    const service = label(read, 'service', 'a signing name such as "s3"')
    return { type: 'aws_sigv4', accessKeyId, secretAccessKey, sessionToken, region, service }
  },

  toJson: ({ accessKeyId, secretAccessKey, sessionToken, region, service }) => ({
    access_key_id: accessKeyId,
    secret_access_key: secretAccessKey.reveal(),
    ...(sessionToken === undefined ? {} : { session_token: sessionToken.reveal() }),
    ...(region === undefined ? {} : { region }),
    ...(service === undefined ? {} : { service }),
  }),

  secrets: ({ secretAccessKey, sessionToken }) => [
    secretAccessKey.reveal(),
    ...(sessionToken === undefined ? [] : [sessionToken.reveal()]),
  ],

  injectedNames: () => ({ headers: [...AWS_SIGNING_HEADERS], queryParams: [] }),

  open(value, _injection, { awsClockSkew }) {
    const { accessKeyId, secretAccessKey, sessionToken, region, service } = value
    return {
      secrets: awsCredential.secrets(value),
      apply(call) {
        const scope = resolveAwsScope(call.url, { region, service })
        return signAwsRequest(call, value, scope, awsClockSkew.signingTimeMs(call.url.host))
      },
      retrieve: () => ({
        access_token: accessKeyId,
        token_type: 'Bearer',
        injection_header: 'Authorization',
        injection_format: SIGV4_FORMAT,
        additional_credentials: {
          secret_key: secretAccessKey.reveal(),
          ...(sessionToken === undefined ? {} : { session_token: sessionToken.reveal() }),
          ...(region === undefined ? {} : { region }),
          ...(service === undefined ? {} : { service }),
        },
        additional_injections: null,
      }),
      // AWS refused the time of the signature and executed nothing: once more with its own clock.
      onAnswer: (call, answer) => (awsClockSkew.learn(call.url.host, answer) ? 'again' : undefined),
    }
  },
}

/**
 * The scope to sign with: what the host says, else what is stored with the credential. Refuses 422
 * `aws_signing_scope_unknown` when neither is complete.
 */
export function resolveAwsScope(
  url: Pick<CanonicalUrl, 'host'>,
  stored: { region: string | undefined; service: string | undefined },
): SigningScope {
  const detected = findAwsScope(url.host)
  if (detected !== undefined) return detected
  const { region, service } = stored
  if (region !== undefined && service !== undefined) return { region, service }
  throw new VaultError('aws_signing_scope_unknown', {
    message: `The region and service of "${url.host}" are not known. Store "region" and "service" with the credential.`,
  })
}

function label(read: CredentialMembers, member: string, expected: string): string | undefined {
  const value = read.record[member]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && AWS_LABEL.test(value)) return value
  fault(read, member, 'invalid', `Expected "${member}" to be ${expected}.`)
  return undefined
}
