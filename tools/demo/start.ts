import { runMain } from '../../packages/server/src/run-main.ts'
import { withDemonstration } from './demonstration.ts'

/* The server as `main.ts` runs it; in development with the demonstration beside it. */

await runMain(process.argv.slice(2), { inDevelopment: withDemonstration })
