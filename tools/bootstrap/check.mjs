/*
 * The gate: everything that must hold before a change is merged. One line a step, with its time and how to run it alone.
 *
 *   npm run check                    all steps, in this order, also after one failed
 *   npm run check -- imports types   only these
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { note, ROOT } from './install.mjs'
import { main, runNode } from './run.mjs'

const TYPED_APART = ['packages/web-kit', 'apps/wallet']

/** Each command is a list of arguments to Node; a step holds when all of its commands end with 0. */
function steps() {
  const generators = readdirSync(join(ROOT, 'tools')).filter((name) => /^generate-[a-z-]+\.ts$/.test(name))
  const webProjects = TYPED_APART.map((folder) => `${folder}/tsconfig.json`).filter((path) =>
    existsSync(join(ROOT, path)),
  )
  const tsc = 'node_modules/typescript/bin/tsc'
  return {
    style: [['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings']],
    imports: [['tools/check-imports.ts']],
    unused: [['node_modules/knip/bin/knip.js']],
    types: ['tsconfig.json', ...webProjects].map((project) => [tsc, '--noEmit', '-p', project]),
    migrations: [['tools/check-migrations.ts']],
    generated: generators.map((name) => [`tools/${name}`, '--check']),
  }
}

/** Returns the output of the first command that failed. */
function runStep(node, commands) {
  const env = { ...process.env, PATH: [join(ROOT, 'node_modules', '.bin'), process.env.PATH].join(delimiter) }
  for (const args of commands) {
    const { status, stdout, stderr } = spawnSync(node, args, { cwd: ROOT, encoding: 'utf8', env })
    if (status !== 0) return `${stdout}${stderr}`.trimEnd() || `node ${args.join(' ')} ended with ${status}`
  }
  return undefined
}

const print = (text) => process.stdout.write(`${text}\n`)

const line = (ok, name, ms) =>
  print(
    `${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(10)}  ${(ms / 1000).toFixed(1).padStart(6)} s   npm run check -- ${name}`,
  )

await main(async (node, wanted) => {
  const all = steps()
  const unknown = wanted.filter((name) => name !== 'tests' && !(name in all))
  if (unknown.length > 0) {
    note(`No step is called ${unknown.join(', ')}. Steps: ${Object.keys(all).join(', ')}, tests.`)
    return 2
  }
  const isWanted = (name) => wanted.length === 0 || wanted.includes(name)
  const failed = []
  for (const [name, commands] of Object.entries(all)) {
    if (!isWanted(name)) continue
    const begun = performance.now()
    const output = runStep(node, commands)
    line(output === undefined, name, performance.now() - begun)
    if (output === undefined) continue
    print(output)
    failed.push(name)
  }
  if (isWanted('tests')) {
    const begun = performance.now()
    const code = await runNode(node, ['tools/bootstrap/test.mjs'])
    line(code === 0, 'tests', performance.now() - begun)
    if (code !== 0) failed.push('tests')
  }
  if (failed.length === 0) return 0
  print(`Failed: ${failed.join(', ')}. Again: npm run check -- ${failed.join(' ')}`)
  return 1
})
