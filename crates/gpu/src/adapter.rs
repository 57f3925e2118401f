//! Which GPU is used, and whether one is.

use llavaguard_backend::DeviceError;

use crate::kernels::Extras;

/// What a caller wants of a GPU.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A part of the adapter's name, for choosing among several. Only by its name is an adapter
    /// used that is no GPU but software on the CPU, which the CPU device outruns.
    pub adapter: Option<String>,
    /// What to call the adapter, where the caller knows better than wgpu, as in browsers.
    pub label: Option<String>,
    /// What beyond WebGPU's minimum is used where the adapter has it.
    pub extras: Wanted,
    /// The largest storage buffer a kernel may see, where that is to be less than the adapter's.
    pub largest_binding: Option<u64>,
    /// Operations submitted together at most, where that is to be other than usual.
    pub flops_per_submission: Option<f64>,
}

/// Which extras are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// What is best on this adapter.
    #[default]
    Best,
    /// Those named, and no device where the adapter lacks one.
    Exactly(Extras),
}

/// An adapter as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterSummary {
    /// Its name and driver.
    pub name: String,
    /// Whether it is software on the CPU.
    pub software: bool,
    /// What it has beyond WebGPU's minimum.
    pub extras: Extras,
}

impl AdapterSummary {
    fn of(instance: &wgpu::Instance, adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let mut name = info.name.clone();
        if name.is_empty() {
            // Browsers tell little.
            name = [info.driver.as_str(), info.driver_info.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
        }
        if name.is_empty() {
            name = "unnamed".to_owned();
        }
        let features = adapter.features();
        let apple = info.vendor == 0x106b || name.to_lowercase().contains("apple");
        let software = is_software(&info);
        AdapterSummary {
            software,
            name: format!("{name}, {}", info.backend),
            extras: Extras {
                half: features.contains(wgpu::Features::SHADER_F16),
                subgroups: features.contains(wgpu::Features::SUBGROUP)
                    && cfg!(not(target_arch = "wasm32")),
                // Apple's GPUs have no such instruction, so floats are faster there; software has
                // none either, whatever the processor below it has.
                byte_dots: !apple && !software && has_byte_dots(instance),
                direct: software,
            },
        }
    }
}

fn has_byte_dots(instance: &wgpu::Instance) -> bool {
    instance
        .wgsl_language_features()
        .contains(wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct)
}

/// Software that draws on the CPU says so in its type, or in its name.
fn is_software(info: &wgpu::AdapterInfo) -> bool {
    let text = format!("{} {} {}", info.name, info.driver, info.driver_info).to_lowercase();
    info.device_type == wgpu::DeviceType::Cpu
        || [
            "swiftshader",
            "llvmpipe",
            "lavapipe",
            "softpipe",
            "warp",
            "basic render",
        ]
        .iter()
        .any(|name| text.contains(name))
}

/// An adapter with a device opened on it.
#[derive(Debug)]
pub struct Opened {
    /// What it is.
    pub summary: AdapterSummary,
    /// What is used of what it has.
    pub extras: Extras,
    /// wgpu's.
    pub device: wgpu::Device,
    /// wgpu's.
    pub queue: wgpu::Queue,
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// All adapters of this machine, the likeliest first. In a browser that is the one it offers.
pub async fn adapters() -> Vec<AdapterSummary> {
    let instance = instance();
    let all = candidates(&instance).await;
    all.iter()
        .map(|adapter| AdapterSummary::of(&instance, adapter))
        .collect()
}

async fn candidates(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    if cfg!(target_arch = "wasm32") {
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        return instance
            .request_adapter(&options)
            .await
            .into_iter()
            .collect();
    }
    let mut all = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    let rank = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    all.sort_by_key(rank);
    all
}

/// Chooses an adapter and opens it.
pub async fn open(options: &Options) -> Result<Opened, DeviceError> {
    let instance = instance();
    let adapters = candidates(&instance).await;
    let found: Vec<AdapterSummary> = adapters
        .iter()
        .map(|adapter| AdapterSummary::of(&instance, adapter))
        .collect();
    let fits = |summary: &AdapterSummary| match &options.adapter {
        Some(name) => summary.name.to_lowercase().contains(&name.to_lowercase()),
        None => !summary.software,
    };
    let chosen = adapters
        .into_iter()
        .zip(found.iter().cloned())
        .find(|(_, summary)| fits(summary));
    let Some((adapter, mut summary)) = chosen else {
        return Err(DeviceError::Lost(none_fits(options, &found)));
    };
    if let Some(label) = &options.label {
        summary.name.clone_from(label);
    }
    let extras = match options.extras {
        Wanted::Best => summary.extras,
        Wanted::Exactly(extras) => {
            let lacks = (extras.half && !summary.extras.half)
                || (extras.subgroups && !summary.extras.subgroups)
                || (extras.byte_dots && !has_byte_dots(&instance));
            if lacks {
                return Err(DeviceError::Lost(format!(
                    "the adapter {} has {:?}, not all of {extras:?}",
                    summary.name, summary.extras
                )));
            }
            extras
        }
    };
    let mut required_features = wgpu::Features::empty();
    required_features.set(wgpu::Features::SHADER_F16, extras.half);
    required_features.set(wgpu::Features::SUBGROUP, extras.subgroups);
    let timed = adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY);
    required_features.set(wgpu::Features::TIMESTAMP_QUERY, timed);
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("llavaguard"),
        required_features,
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| DeviceError::Lost(format!("{}: {error}", summary.name)))?;
    Ok(Opened {
        summary,
        extras,
        device,
        queue,
    })
}

fn none_fits(options: &Options, found: &[AdapterSummary]) -> String {
    let list: Vec<String> = found
        .iter()
        .map(|summary| {
            let kind = if summary.software { " (software)" } else { "" };
            format!("{}{kind}", summary.name)
        })
        .collect();
    let list = if list.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are: {}", list.join("; "))
    };
    match &options.adapter {
        Some(name) => format!("no GPU adapter has {name:?} in its name; {list}"),
        None => format!(
            "no GPU adapter was found that is not software on the CPU; {list}. The CPU device is faster than those; to use one all the same, name it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, device_type: wgpu::DeviceType) -> wgpu::AdapterInfo {
        let mut info = wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan);
        info.name = name.to_owned();
        info
    }

    #[test]
    fn software_is_recognised_by_type_and_by_name() {
        use wgpu::DeviceType::{Cpu, DiscreteGpu, Other};
        assert!(is_software(&info("anything", Cpu)));
        assert!(is_software(&info("Google SwiftShader", Other)));
        assert!(is_software(&info(
            "llvmpipe (LLVM 15.0.6, 256 bits)",
            Other
        )));
        assert!(!is_software(&info("NVIDIA H200", DiscreteGpu)));
        assert!(!is_software(&info("", Other)));
    }

    #[test]
    fn the_refusal_names_what_there_is() {
        let software = AdapterSummary {
            name: "llvmpipe, vulkan".to_owned(),
            software: true,
            extras: Extras::default(),
        };
        let text = none_fits(&Options::default(), &[software]);
        assert!(text.contains("llvmpipe, vulkan (software)"), "{text}");
        let named = Options {
            adapter: Some("radeon".to_owned()),
            ..Options::default()
        };
        let text = none_fits(&named, &[]);
        assert!(
            text.contains("radeon") && text.contains("there is none"),
            "{text}"
        );
    }
}
