import { expect, test } from 'vitest'
import { VaultError } from '../kernel/vault-error.ts'
import { readPolicy } from './run-use.ts'

test('rules that cannot be read refuse the use; other refusals stay what they are', async () => {
  const failingWith = (error: Error) => readPolicy({ appPolicy: () => Promise.reject(error) }, 'an app')
  await expect(failingWith(new VaultError('service_unavailable', { retryAfterSeconds: 7 }))).rejects.toMatchObject({
    code: 'policy_unavailable',
    status: 503,
    retryAfterSeconds: 7,
  })
  await expect(failingWith(new VaultError('app_not_found_for_key'))).rejects.toMatchObject({
    code: 'app_not_found_for_key',
  })
  const fault = new TypeError('a fault')
  await expect(failingWith(fault)).rejects.toMatchObject({ code: 'policy_unavailable', cause: fault })
})
