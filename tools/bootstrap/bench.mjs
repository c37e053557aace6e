import { main, runNode } from './run.mjs'

await main((node, args) => runNode(node, ['bench/run.ts', ...args]))
