/*
 * Fails when an import points the wrong way (.dependency-cruiser.cjs), and when nothing was looked at: dependency-cruiser calls
 * an empty run a success, which it is when no parser for TypeScript is installed.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = ['packages', 'apps', 'e2e', 'bench', 'tools']
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

export async function checkImports(root: string = ROOT): Promise<{ modules: number; violations: Violation[] }> {
  const { totalCruised, violations } = (await readModules(root)).summary
  return {
    modules: totalCruised,
    violations: violations.map(({ rule, from, to, cycle }) => ({
      rule: rule.name,
      from,
      to: cycle === undefined ? to : cycle.map(({ name }) => name).join(' -> '),
    })),
  }
}

if (import.meta.main) {
  const { modules, violations } = await checkImports()
  for (const { rule, from, to } of violations) process.stdout.write(`${rule}: ${from} -> ${to}\n`)
  if (modules === 0) process.stdout.write('No module was looked at; is @swc/core installed?\n')
  process.exitCode = modules === 0 || violations.length > 0 ? 1 : 0
}
