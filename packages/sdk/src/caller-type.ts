/** Who a caller label stands for in the audit log. `App` defaults to `SERVICE`; `Agent` is always `AGENT`. */
export const CallerType = { AGENT: 'agent', SERVICE: 'service' } as const

export type CallerType = (typeof CallerType)[keyof typeof CallerType]
