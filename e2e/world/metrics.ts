/** One series of a scrape. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads the text exposition format of Prometheus, as far as our own metrics use it. */
export function parseMetrics(text: string): readonly Sample[] {
  return text.split('\n').flatMap((line) => {
    const [, name, inner = '', value] = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)/i.exec(line) ?? []
    if (name === undefined || value === undefined) return []
    const labels = [...inner.matchAll(/([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"/gi)].map(
      ([, label = '', quoted = '']) => [label, quoted.replaceAll(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))] as const,
    )
    return [{ name, labels: Object.fromEntries(labels), value: Number(value) }]
  })
}

/** The sum of the series with this name and these labels. A label that ends in `*` matches by its beginning. */
export function sumOf(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  const matches = (sample: Sample) =>
    sample.name === name &&
    Object.entries(labels).every(([label, wanted]) => {
      const value = sample.labels[label] ?? ''
      return wanted.endsWith('*') ? value.startsWith(wanted.slice(0, -1)) : value === wanted
    })
  return samples.filter(matches).reduce((sum, { value }) => sum + value, 0)
}
