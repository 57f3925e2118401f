// The sum of one number of each thread of a workgroup, where subgroups can add.

var<workgroup> partial: array<f32, NORM_THREADS>;
var<private> subgroup_width: u32;

fn sum_of(value: f32, thread: u32) -> f32 {
    let own = subgroupAdd(value);
    if (thread % subgroup_width == 0u) {
        partial[thread / subgroup_width] = own;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < NORM_THREADS / subgroup_width; i++) {
        sum += partial[i];
    }
    workgroupBarrier();
    return sum;
}
