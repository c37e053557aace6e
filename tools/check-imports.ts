/*
 * Fails when an import points the wrong way (.dependency-cruiser.cjs), and when imports were not seen: dependency-cruiser calls an
 * empty run a success, which it is when no parser for TypeScript is installed, and a package that the configuration excludes breaks
 * no rule.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = ['packages', 'apps', 'e2e', 'bench', 'tools']
/** The packages that rules name. The product imports each of them, so a run that sees none of these imports is blind to them. */
export const WATCHED_PACKAGES = ['@scalar', 'find-my-way', 'kysely', 'pg', 'pino', 'sirv', 'typebox', 'undici']
const OUTPUT_MAX_BYTES = 256 * 1024 * 1024

/** A file and the files that it imports, by their paths in the checkout. */
export type Module = { source: string; dependencies: { resolved: string }[] }

type Report = {
  modules: Module[]
  summary: {
    totalCruised: number
    violations: { rule: { name: string; severity: string }; from: string; to: string; cycle?: { name: string }[] }[]
  }
}

export type Violation = { rule: string; from: string; to: string }

export type ImportCheck = {
  modules: number
  violations: Violation[]
  /** The watched packages that nothing imports. */
  unseen: string[]
}

/** Every import under `root`, and what the rules of this checkout say about it. */
export async function readModules(root: string = ROOT): Promise<Report> {
  const cruiser = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs')
  const folders = FOLDERS.filter((folder) => existsSync(join(root, folder)))
  const args = [cruiser, '--config', join(ROOT, '.dependency-cruiser.cjs'), '--output-type', 'json', ...folders]
  return new Promise<Report>((resolve, reject) => {
    execFile(process.execPath, args, { cwd: root, maxBuffer: OUTPUT_MAX_BYTES }, (error, stdout, stderr) => {
      // It ends with the number of violations; only an answer that is no report is a fault.
      try {
        resolve(JSON.parse(stdout))
      } catch {
        reject(new Error(`dependency-cruiser gave no report: ${stderr || error?.message}`))
      }
    })
  })
}

export async function checkImports(root: string = ROOT): Promise<ImportCheck> {
  const { modules, summary } = await readModules(root)
  const { totalCruised, violations } = summary
  const imported = modules.flatMap(({ dependencies }) => dependencies.map(({ resolved }) => resolved))
  return {
    modules: totalCruised,
    violations: violations.map(({ rule, from, to, cycle }) => ({
      rule: rule.name,
      from,
      to: cycle === undefined ? to : cycle.map(({ name }) => name).join(' -> '),
    })),
    unseen: WATCHED_PACKAGES.filter((name) => !imported.some((path) => path.includes(`node_modules/${name}/`))),
  }
}

if (import.meta.main) {
  const { modules, violations, unseen } = await checkImports()
  for (const { rule, from, to } of violations) process.stdout.write(`${rule}: ${from} -> ${to}\n`)
  if (modules === 0) process.stdout.write('No module was looked at; is @swc/core installed?\n')
  for (const name of unseen) process.stdout.write(`No import of ${name} was seen, so no rule about it was checked.\n`)
  process.exitCode = modules === 0 || violations.length > 0 || unseen.length > 0 ? 1 : 0
}
