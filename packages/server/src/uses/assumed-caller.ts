import type { Caller } from '../management/index.ts'

/** A caller that presented nothing itself: the requester of a frozen request, or one that a simulation makes up. */
export const assumedCaller = (
  known: Pick<Caller, 'appId' | 'organizationId' | 'appEnvironment' | 'keyType' | 'agent' | 'clientIp' | 'traceId'> &
    Partial<Caller>,
): Caller => ({
  keyId: null,
  keyPrefix: null,
  keyName: null,
  agentId: known.agent?.agentId ?? null,
  user: null,
  impersonated: false,
  caller: null,
  callerType: null,
  actorId: null,
  context: {},
  userAgent: null,
  scopes: [],
  ...known,
})
