import type { Command } from 'commander'
import { addMeshOptions, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import { openEdges } from './live/ask-edges.ts'
import { describeGaps, formatEdges } from './live/edges-text.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { painterOf } from './paint.ts'
import { printableIn } from './printable.ts'

interface EdgesOptions extends MeshFlags {
  readonly output: OutputFormat
}

/** `hauberk edges`: who calls whom, as whom, and over what. */
export function defineEdges(command: Command): void {
  addMeshOptions(addOutputOption(command))
    .addHelpText('after', HELP)
    .action(async (options: EdgesOptions) => {
      const source = await openEdges(options)
      try {
        const report = await source.ask()
        if (options.output !== 'table') printDocument(report, options.output, process.stdout)
        else process.stdout.write(formatEdges(printableIn(report), painterOf(process.stdout)))
        if (report.edges.length === 0) process.stderr.write(`nothing was called yet${source.elsewhere}\n`)
        for (const gap of describeGaps(report)) process.stderr.write(`${gap}\n`)
      } finally {
        source.close()
      }
    })
}

const HELP = `
Examples:
  hauberk edges                 who has called whom since the sidecars began, with the identity that each has proven
  hauberk edges -n shop         what comes to the workloads and Gateways of a namespace, and what they call outside the mesh
  hauberk edges -A -o json | jq '.edges[] | select(.security != "mtls")'

SECURITY is mTLS between workloads of the mesh; TLS where the gateway, or a place outside, has shown a certificate; opaque for bytes
that are carried as they are; plaintext for what nothing protects.
A service account stands for who calls, a workload for who is called. "outside" are clients of a gateway, "unidentified" those who
have shown no certificate of the mesh, "undeclared" is what was called and no egress rule names, "others" are too many to tell apart.

${WHICH_MESH}

The operator asks the sidecars at that moment: no Prometheus is needed, and nothing is gathered while nobody looks.
Exit codes: 0 told, 1 failed, 2 wrong usage.`
