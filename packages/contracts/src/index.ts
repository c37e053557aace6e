export * from './approval-page.ts'
export * from './endpoint.ts'
export * from './errors.ts'
export * from './primitives.ts'
