import { newId } from '../kernel/ids.ts'
import type { SdkCaller } from '../management/index.ts'
import { assumedCaller } from '../uses/assumed-caller.ts'

/** A caller for tests: an app key of `app`, with the members of `different`. */
export const sdkCallerOf = (
  app: Pick<SdkCaller, 'appId' | 'organizationId'>,
  different: Partial<SdkCaller> = {},
): SdkCaller => ({
  ...assumedCaller({
    appId: app.appId,
    organizationId: app.organizationId,
    appEnvironment: 'production',
    keyType: 'rk',
    keyName: 'backend',
    agent: null,
    clientIp: '203.0.113.9',
    traceId: '0'.repeat(32),
  }),
  keyId: newId(),
  keyPrefix: 'alter_rk_0000000',
  answerHeaders: {},
  ...different,
})
