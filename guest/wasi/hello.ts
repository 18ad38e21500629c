// hello.ts: an AssemblyScript module that allocates, as most of them do.

let calls: i32 = 0;

export function run(): i32 {
  const text = "call " + (++calls).toString();
  return text.length;
}
