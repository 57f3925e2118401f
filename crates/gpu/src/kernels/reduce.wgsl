// The sum of one number of each thread of a workgroup, in a fixed order.

var<workgroup> partial: array<f32, NORM_THREADS>;

fn sum_of(value: f32, thread: u32) -> f32 {
    partial[thread] = value;
    for (var width = NORM_THREADS / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if (thread < width) {
            partial[thread] += partial[thread + width];
        }
    }
    workgroupBarrier();
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}
