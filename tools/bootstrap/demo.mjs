import { main, runNode } from './run.mjs'

await main((node, args) => runNode(node, ['tools/demo.ts', ...args]))
