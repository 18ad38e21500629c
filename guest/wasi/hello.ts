// hello.ts: what an AssemblyScript module asks of its host. Allocates, as most of them do.

let calls: i32 = 0;

export function run(): i32 {
  const text = "call " + (++calls).toString();
  return text.length;
}
