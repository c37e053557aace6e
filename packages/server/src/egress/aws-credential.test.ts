import { describe, expect, test } from 'vitest'
import { resolveAwsScope } from './aws-credential.ts'

describe('the scope that a request is signed for', () => {
  test('comes from the host before it comes from what is stored', () => {
    const stored = { region: 'eu-west-3', service: 'sns' }
    expect(resolveAwsScope({ host: 'sqs.eu-west-1.amazonaws.com' }, stored)).toEqual({
      service: 'sqs',
      region: 'eu-west-1',
    })
    expect(resolveAwsScope({ host: 'minio.example.com' }, stored)).toEqual({ service: 'sns', region: 'eu-west-3' })
  })

  test('is refused when neither the host nor the credential says it', () => {
    const resolve = () => resolveAwsScope({ host: 'minio.example.com' }, { region: 'eu-west-1', service: undefined })
    expect(resolve).toThrow(expect.objectContaining({ code: 'aws_signing_scope_unknown', status: 422 }))
  })
})
