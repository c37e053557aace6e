import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ROOT } from './install.mjs'

const TYPED_APART = ['packages/web-kit', 'apps/wallet']
const CACHE = 'node_modules/.cache/check'

/**
 * The checks that run nothing of the product, by name. Each command is a list of arguments to Node; a step holds when all of its commands end
 * with 0.
 * @returns {Record<string, string[][]>}
 */
export function staticSteps() {
  const generators = readdirSync(join(ROOT, 'tools')).filter((name) => /^generate-[a-z-]+\.ts$/.test(name))
  const projects = ['.', ...TYPED_APART].filter((folder) => existsSync(join(ROOT, folder, 'tsconfig.json')))
  return {
    style: [['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings']],
    imports: [['tools/check-imports.ts']],
    unused: [['node_modules/knip/bin/knip.js']],
    types: projects.map((folder) => typesOf(folder)),
    migrations: [['tools/check-migrations.ts']],
    generated: generators.map((name) => [`tools/${name}`, '--check']),
    links: [['tools/check-links.ts']],
  }
}

/** What the compiler found out last time is kept beside the installed packages: a new installation starts afresh. */
function typesOf(folder) {
  const known = `${CACHE}/${folder.replaceAll(/\W+/g, '-')}.tsbuildinfo`
  return ['node_modules/typescript/bin/tsc', '--incremental', '--tsBuildInfoFile', known, '-p', folder]
}

/**
 * Runs steps in order, the later ones also after one failed, and prints a line for each. Returns the names of those that failed.
 * @param {string} node
 * @param {Record<string, string[][]>} steps
 */
export function runSteps(node, steps) {
  mkdirSync(join(ROOT, CACHE), { recursive: true })
  return Object.entries(steps).flatMap(([name, commands]) => {
    const begun = performance.now()
    const output = firstFailure(node, commands)
    printStep(output === undefined, name, performance.now() - begun)
    if (output === undefined) return []
    process.stdout.write(`${output}\n`)
    return [name]
  })
}

/** @param {boolean} ok @param {string} name @param {number} ms */
export function printStep(ok, name, ms) {
  const took = (ms / 1000).toFixed(1).padStart(6)
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(10)}  ${took} s   npm run check -- ${name}\n`)
}

/** The output of the first command that failed. */
function firstFailure(node, commands) {
  const env = { ...process.env, PATH: [join(ROOT, 'node_modules', '.bin'), process.env.PATH].join(delimiter) }
  for (const args of commands) {
    const { status, stdout, stderr } = spawnSync(node, args, { cwd: ROOT, encoding: 'utf8', env })
    if (status !== 0) return `${stdout}${stderr}`.trimEnd() || `node ${args.join(' ')} ended with ${status}`
  }
  return undefined
}
