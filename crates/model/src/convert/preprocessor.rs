//! How a checkpoint wants its images prepared.

use serde_json::json;

use super::error::ConvertError;
use super::hf_config::{HfConfig, JsonFile, SIGLIP_MEAN_AND_STD};
use super::json::Node;
use crate::config_gguf::MAX_RESOLUTION;

/// Takes mean and standard deviation from a preprocessor's configuration, and refuses one that
/// prepares images otherwise than the engine does. `node_key` is `image_processor` in transformers
/// 5's `processor_config.json`, absent in `preprocessor_config.json`.
pub fn read(
    file: &JsonFile<'_>,
    node_key: Option<&str>,
    config: &mut HfConfig,
) -> Result<(), ConvertError> {
    let root = file.root();
    let node = match node_key {
        Some(key) => root.below(key, "image_processor."),
        None => root,
    };
    config.vision.image_mean = channels(node, "image_mean")?.unwrap_or(SIGLIP_MEAN_AND_STD);
    config.vision.image_std = channels(node, "image_std")?.unwrap_or(SIGLIP_MEAN_AND_STD);
    if config.vision.image_std.iter().any(|&std| std <= 0.0) {
        return Err(node.wrong("image_std", "deviations must be positive"));
    }
    node.only("do_resize", &json!(true))?;
    node.only("do_rescale", &json!(true))?;
    node.only("do_normalize", &json!(true))?;
    node.only("resample", &json!(3))?;
    let factor = node.positive("rescale_factor", 1.0 / 255.0)?;
    if (factor * 255.0 - 1.0).abs() > 1e-4 {
        return Err(node.wrong("rescale_factor", "only 1/255 is supported"));
    }
    let side = config.vision.image_size;
    if node.raw("size").is_some() {
        let size = node.below("size", "size.");
        for key in ["height", "width", "shortest_edge"] {
            if size.raw(key).is_some() && size.size(key, MAX_RESOLUTION, None)? != side {
                return Err(size.wrong(key, format!("the tower's tiles have side {side}")));
            }
        }
    }
    Ok(())
}

fn channels(node: Node<'_>, key: &str) -> Result<Option<[f32; 3]>, ConvertError> {
    let Some(value) = node.raw(key) else {
        return Ok(None);
    };
    let wrong = || node.wrong(key, "three numbers are needed");
    let numbers: Option<Vec<f32>> = value
        .as_array()
        .and_then(|list| list.iter().map(|x| Some(x.as_f64()? as f32)).collect());
    let channels: [f32; 3] = numbers.ok_or_else(wrong)?.try_into().map_err(|_| wrong())?;
    if channels.iter().all(|x| x.is_finite()) {
        Ok(Some(channels))
    } else {
        Err(wrong())
    }
}
