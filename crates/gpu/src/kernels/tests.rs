//! Every kernel is WGSL that naga accepts, within WebGPU's least limits.

use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::*;

const HEADS: [usize; 9] = [1, 3, 32, 37, 64, 72, 80, 128, 256];

fn variants() -> Vec<Kernel> {
    Kernel::variants(&DType::ALL, &HEADS)
}

#[test]
fn every_variant_is_valid() {
    let all = variants();
    assert!(all.len() > 70, "{}", all.len());
    for kernel in all {
        let source = kernel.source();
        assert!(
            !source.contains("{{") && !source.contains('$'),
            "{kernel:?}: a gap is left"
        );
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
        let capabilities = Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
        validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
        let info = validator
            .validate(&module)
            .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
        drop(info);
        assert_eq!(module.entry_points.len(), 1, "{kernel:?}");
    }
}

/// Bindings that the shader has and that the pipeline layout is made of are the same.
#[test]
fn bindings_are_those_declared() {
    for kernel in variants() {
        let source = kernel.source();
        let module = naga::front::wgsl::parse_str(&source).unwrap();
        let mut found: Vec<(u32, bool)> = Vec::new();
        for (_, variable) in module.global_variables.iter() {
            if let (Some(binding), naga::AddressSpace::Storage { access }) =
                (&variable.binding, variable.space)
            {
                found.push((binding.binding, access.contains(naga::StorageAccess::STORE)));
            }
        }
        found.sort_unstable();
        let Bindings { read, written } = kernel.bindings();
        let expected: Vec<(u32, bool)> = (1..=(read + written) as u32)
            .map(|binding| (binding, binding as usize > read))
            .collect();
        assert_eq!(found, expected, "{kernel:?}");
        assert!(read + written <= 8, "{kernel:?}");
    }
}

#[test]
fn workgroups_fit_the_least_adapter() {
    for kernel in variants() {
        let source = kernel.source();
        let module = naga::front::wgsl::parse_str(&source).unwrap();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| layouter[variable.ty].size)
            .sum();
        assert!(bytes <= 16_384, "{kernel:?} takes {bytes} bytes");
        let threads: u32 = module.entry_points[0].workgroup_size.iter().product();
        assert!((1..=256).contains(&threads), "{kernel:?} has {threads}");
    }
}
