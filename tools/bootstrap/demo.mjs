import { main, runNode } from './run.mjs'

await main((node, args) => runNode(node, ['--conditions=@alter-vault/source', 'tools/demo/play.ts', ...args]))
