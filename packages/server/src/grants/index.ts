export { findGrantTargets } from './grant-store.ts'
