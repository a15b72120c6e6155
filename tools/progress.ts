import { styleText } from 'node:util'

/** What one step of a longer command came to: nothing, or the reasons why it failed. */
export type StepResult = readonly string[]

/** One step of a longer command. */
export interface Step {
  readonly name: string
  run(): StepResult | Promise<StepResult>
}

/**
 * Runs steps side by side and prints a line for each as it ends, ` ✓ types  1.2 s`, then what the failed ones said.
 * Whether all went well.
 */
export async function runSteps(steps: readonly Step[], out: NodeJS.WriteStream): Promise<boolean> {
  const width = Math.max(...steps.map((step) => step.name.length))
  const results = await Promise.all(
    steps.map(async (step) => {
      const startedAt = performance.now()
      const reasons = await attempt(step)
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
      const mark = reasons.length === 0 ? paint('green', '✓', out) : paint('red', '✗', out)
      out.write(` ${mark} ${step.name.padEnd(width)}  ${seconds.padStart(5)} s\n`)
      return { name: step.name, reasons }
    }),
  )
  const failures = results.filter(({ reasons }) => reasons.length > 0)
  for (const { name, reasons } of failures) out.write(`\n${paint('red', name, out)}\n${reasons.join('\n').trimEnd()}\n`)
  return failures.length === 0
}

async function attempt(step: Step): Promise<StepResult> {
  try {
    return await step.run()
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)]
  }
}

/** Colour for a terminal that wants it; `NO_COLOR` and pipes are respected. */
function paint(colour: 'green' | 'red', text: string, out: NodeJS.WriteStream): string {
  return styleText(colour, text, { stream: out, validateStream: true })
}
