#!/usr/bin/env -S node --max-semi-space-size=24 --no-parallel-scavenge
// Plain JavaScript, so that an old Node can still say what is wrong instead of failing on the first type.
const needed = 24
if (Number(process.versions.node.split('.')[0]) < needed) {
  process.stderr.write(
    `alter-vault needs Node ${needed} or newer; this is ${process.versions.node}. "npm start" brings its own.\n`,
  )
  process.exit(1)
}
await import('../src/main.ts')
