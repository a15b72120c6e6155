import { type Command, Option } from 'commander'
import { CommandError, EXIT } from '../exit-code.ts'

/** What the command line says of the cluster, in the words of kubectl. */
export interface ClusterFlags {
  readonly namespace?: string
  readonly allNamespaces?: true
  readonly context?: string
  readonly kubeconfig?: string
}

/** Adds `--context` and `--kubeconfig` to a command that can ask a cluster. */
export function addClusterOptions(command: Command): Command {
  return command
    .addOption(new Option('--context <name>', 'the context of the kubeconfig (default: the current one)'))
    .addOption(new Option('--kubeconfig <file>', 'the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)'))
}

/** Adds `-n` and `-A` besides, to a command about something that lives in namespaces. */
export function addNamespaceOptions(command: Command, byDefault = 'the one of the context'): Command {
  return addClusterOptions(command)
    .addOption(new Option('-n, --namespace <name>', `one namespace of a cluster (default: ${byDefault})`))
    .addOption(new Option('-A, --all-namespaces', 'all namespaces of a cluster'))
}

/** Whether the command line itself asks for a cluster. Ends the command for flags that contradict each other. */
export function isClusterAsked({ namespace, allNamespaces, context, kubeconfig }: ClusterFlags): boolean {
  if (namespace !== undefined && allNamespaces === true) {
    throw new CommandError(EXIT.usage, 'either --namespace or --all-namespaces')
  }
  return [namespace, allNamespaces, context, kubeconfig].some((flag) => flag !== undefined)
}
